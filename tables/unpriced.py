"""Scorers whose spend cap cannot hold, since what they cost cannot be counted on some worker: in memory only.

A worker that cannot count says so again and again, also to the others, so that all of them say so; what is not said any
more is forgotten soon.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any

_FORGET = 10.0  # seconds


@dataclass(slots=True)
class Unpriced:
    """What a worker says of a scorer in a project; times are Unix seconds."""

    project_id: str
    scorer_ref: str
    reason: str
    since: float
    until: float


_said: dict[tuple[str, str], Unpriced] = {}


def say(project_id: str, scorer_ref: str, reason: str) -> None:
    """This worker starts no tasks of a scorer, for this reason."""
    now, known = time.time(), of(project_id, scorer_ref)
    since = now if known is None else known.since
    _said[project_id, scorer_ref] = Unpriced(project_id, scorer_ref, reason, since, now + _FORGET)


def of(project_id: str, scorer_ref: str) -> Unpriced | None:
    """What is said of a scorer in a project; None if nothing is."""
    found = _said.get((project_id, scorer_ref))
    return found if found is not None and found.until > time.time() else None


def to_tell() -> list[dict[str, Any]]:
    """What other workers have to know."""
    now = time.time()
    for where in [where for where, said in _said.items() if said.until <= now]:
        del _said[where]
    return [asdict(said) for said in _said.values()]


# --- queries -------------------------------------------------------------------------------------


def hear(partition: int, told: list[dict[str, Any]]) -> bool:
    """What another worker tells, of itself or of a third one."""
    for said in (Unpriced(**one) for one in told):
        where = (said.project_id, said.scorer_ref)
        known = _said.get(where)
        if known is None or known.until < said.until:
            _said[where] = said
    return True
