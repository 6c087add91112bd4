"""Memory shared by agents and views: why the tasks of a scorer are not started now.

Its breaker is open (tables/breakers), or in this project its spend cap is reached or cannot hold. Workers tell each
other, so that all of them show the same; the newest of what is known of a pause wins.
"""

import time
from typing import Any, NamedTuple

import msgspec

from app.structs import Struct
from tables import breakers

_CAP_REACHED = "spend_cap_reached"
_CAP_WITHOUT_PRICE = "spend_cap_without_price"
_RENEWED_WITHIN = 10.0  # seconds; a worker that cannot count costs says so again and again


class SpendPause(Struct):
    """A scorer is not started in a project because of its spend cap of `usd` a day. Times are Unix seconds."""

    project_id: str
    scorer_ref: str
    reason: str
    detail: str
    usd: float
    since: float
    until: float
    updated_at: float
    lifted: bool = False  # before `until`

    @property
    def key(self) -> tuple[str, str, str]:
        return self.project_id, self.scorer_ref, self.reason


class Pause(NamedTuple):
    """`until` is when it may be over. Times are Unix seconds."""

    reason: str | None
    since: float
    until: float


_spend_pauses: dict[tuple[str, str, str], SpendPause] = {}


def of(project_id: str, scorer_ref: str) -> Pause | None:
    """The pause of a scorer in a project; None while there is none."""
    breaker = breakers.open_state(project_id, scorer_ref)
    if breaker is not None:
        return Pause(breaker.reason, breaker.since, breaker.probe_at)
    for reason in (_CAP_REACHED, _CAP_WITHOUT_PRICE):
        found = _in_force((project_id, scorer_ref, reason))
        if found is not None:
            return Pause(f"{reason}: {found.detail}", found.since, found.until)
    return None


def reached_cap(project_id: str, scorer_ref: str) -> float | None:
    """The spend cap of a scorer in a project, USD a day, if it is reached."""
    found = _in_force((project_id, scorer_ref, _CAP_REACHED))
    return None if found is None else found.usd


def cap_is_reached(project_id: str, scorer_ref: str, usd: float, until: float) -> None:
    """Pause a scorer until the day ends, unless it is paused already."""
    detail = f"the {usd:g} USD that this scorer may cost a day in this project are spent"
    _pause(project_id, scorer_ref, _CAP_REACHED, detail, usd, until)


def cap_is_not_reached(project_id: str, scorer_ref: str) -> None:
    """Lift the pause, if there is one."""
    known = _in_force((project_id, scorer_ref, _CAP_REACHED))
    if known is not None:
        _spend_pauses[known.key] = known.replace(lifted=True, updated_at=time.time())


def cap_cannot_hold(project_id: str, scorer_ref: str, usd: float, why: str) -> None:
    """Pause a scorer for ten seconds, since its costs cannot be counted here; call it again while they cannot."""
    _pause(project_id, scorer_ref, _CAP_WITHOUT_PRICE, why, usd, time.time() + _RENEWED_WITHIN)


def outgoing() -> list[dict[str, Any]]:
    """What to send to other workers, also what was lifted; what is over is dropped."""
    now = time.time()
    for key in [key for key, known in _spend_pauses.items() if known.until <= now]:
        del _spend_pauses[key]
    return [known.as_dict() for known in _spend_pauses.values()]


def _pause(project_id: str, scorer_ref: str, reason: str, detail: str, usd: float, until: float) -> None:
    known, now = _in_force((project_id, scorer_ref, reason)), time.time()
    if known is not None and (known.usd, known.until) == (usd, until):
        return
    pause = SpendPause(
        project_id=project_id,
        scorer_ref=scorer_ref,
        reason=reason,
        detail=detail,
        usd=usd,
        since=now if known is None else known.since,
        until=until,
        updated_at=now,
    )
    _spend_pauses[pause.key] = pause


def _in_force(key: tuple[str, str, str]) -> SpendPause | None:
    found = _spend_pauses.get(key)
    return found if found is not None and not found.lifted and found.until > time.time() else None


# --- queries -------------------------------------------------------------------------------------


def merge(partition: int, received: list[dict[str, Any]]) -> bool:
    """Take over what another worker sent, of itself or of a third one."""
    for pause in msgspec.convert(received, list[SpendPause]):
        known = _spend_pauses.get(pause.key)
        if known is None or known.updated_at < pause.updated_at:
            _spend_pauses[pause.key] = pause
    return True
