"""Memory shared by agents and views: circuit breakers, one a scorer, which keep it from a provider that does not work.

A scorer that a project publishes for itself has a breaker of its own there. Workers tell each other. After a restart of
all of them the first failures open a breaker again.
"""

import time
from collections.abc import Callable
from typing import Any, Literal, TypedDict

import msgspec

from app.scorers import Failure
from app.structs import Struct

FAILURES = 10  # in a row, of rate limits, answers of 5xx and connections that fail, open a breaker
FIRST_PAUSE = 1.0  # seconds from when a breaker opens until a task may probe, doubled whenever the probe fails
LONGEST_PAUSE = 30.0
OPENING = frozenset({Failure.THROTTLED, Failure.UNAVAILABLE, Failure.UNAUTHORIZED})

State = Literal["closed", "open", "half_open"]


class BreakerState(Struct):
    """What workers share of one breaker: the higher version wins. Times are Unix seconds."""

    scorer_ref: str
    version: int = 0
    open: bool = False
    reason: str | None = None
    since: float = 0.0
    probe_at: float = 0.0
    pauses: int = 0  # since it opened
    pause: float = 0.0  # seconds from when it opened, or a probe failed, until `probe_at`
    project_id: str | None = None  # that published the scorer for itself; None if it is for all projects


class Breaker:
    """The breaker of one scorer on this worker.

    Closed: all tasks pass. Open: none, until `probe_at`. Half open: one task, the probe, is running.
    """

    def __init__(self, scorer_ref: str, project_id: str | None = None) -> None:
        self.shared = BreakerState(scorer_ref=scorer_ref, project_id=project_id, since=time.time())
        self.failures = 0  # in a row
        self.probing = False

    @property
    def state(self) -> State:
        if not self.shared.open:
            return "closed"
        return "half_open" if self.probing else "open"

    def lets_through(self, now: float) -> bool:
        """Whether a task may start: always while closed, else one at a time from `probe_at` on."""
        return not self.shared.open or (not self.probing and self.wait(now) <= 0)

    def wait(self, now: float) -> float:
        """Seconds until a task may probe. None are left if there are too many: the clock was set back since."""
        left, pause = self.shared.probe_at - now, self.shared.pause
        return left if left <= pause + LONGEST_PAUSE else 0.0

    def enter(self) -> bool:
        """A task starts; returns whether it is the probe."""
        probe = self.shared.open
        self.probing |= probe
        return probe

    def succeeded(self, probe: bool) -> None:
        """An attempt succeeded. One that started before the breaker opened does not close it."""
        if probe or not self.shared.open:
            self.failures = 0
        if probe:
            self.close()

    def failed(self, failure: Failure, reason: str, retry_after: float | None, probe: bool) -> bool:
        """An attempt failed; returns whether the breaker was open, so that the failure is not its task's."""
        self.probing &= not probe
        if failure not in OPENING:
            self.succeeded(probe)
            return False
        was_open = self.shared.open
        self.failures += 1
        if probe or (not was_open and (failure is Failure.UNAUTHORIZED or self.failures >= FAILURES)):
            self._open(reason, retry_after)
        return was_open

    def abandon(self, probe: bool) -> None:
        """An attempt ended without an outcome."""
        self.probing &= not probe

    def close(self) -> None:
        """Let tasks through again."""
        self.probing, self.failures = False, 0
        if self.shared.open:
            closed = BreakerState(
                scorer_ref=self.shared.scorer_ref,
                project_id=self.shared.project_id,
                version=self.shared.version + 1,
                since=time.time(),
            )
            self._set(closed)

    def merge(self, received: BreakerState) -> None:
        """Take over the state that another worker has, if it is newer."""
        if received.version > self.shared.version:
            if not received.open:
                self.probing, self.failures = False, 0
            self._set(received)

    def _open(self, reason: str, retry_after: float | None) -> None:
        now, known = time.time(), self.shared
        pause = max(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(known.pauses, 10)), retry_after or 0.0)
        opened = known.replace(
            version=known.version + 1,
            open=True,
            reason=reason,
            since=known.since if known.open else now,
            probe_at=now + pause,
            pause=pause,
            pauses=known.pauses + 1,
        )
        self._set(opened)

    def _set(self, state: BreakerState) -> None:
        self.shared = state
        for callback in when_changed:
            callback()


when_changed: list[Callable[[], None]] = []  # called whenever a breaker opens or closes, or stays open for longer
_breakers: dict[tuple[str | None, str], Breaker] = {}  # by project and ref


def of(project_id: str | None, scorer_ref: str) -> Breaker:
    """The breaker of a scorer that a project published for itself, or of one that is for all projects (None)."""
    breaker = _breakers.get((project_id, scorer_ref))
    if breaker is None:
        breaker = _breakers[project_id, scorer_ref] = Breaker(scorer_ref, project_id)
    return breaker


def open_state(project_id: str, scorer_ref: str) -> BreakerState | None:
    """The state of the breaker that a project's tasks of a scorer pass, if it is open."""
    breaker = _breakers.get((project_id, scorer_ref)) or _breakers.get((None, scorer_ref))
    return breaker.shared if breaker is not None and breaker.shared.open else None


def number_open() -> int:
    """How many breakers are open on this worker."""
    return sum(breaker.shared.open for breaker in _breakers.values())


def outgoing() -> list[dict[str, Any]]:
    """What to send to other workers: every breaker that has ever opened."""
    return [breaker.shared.as_dict() for breaker in _breakers.values() if breaker.shared.version]


# --- queries -------------------------------------------------------------------------------------


class Shown(TypedDict):
    """A breaker as one worker sees it."""

    scorer_ref: str
    project_id: str | None
    state: State
    version: int
    reason: str | None
    since: float
    probe_at: float | None
    failures: int


def listing(partition: int) -> list[Shown]:
    """The breakers of this worker; any of its partitions may be asked."""
    return [
        {
            "scorer_ref": ref,
            "project_id": project_id,
            "state": breaker.state,
            "version": breaker.shared.version,
            "reason": breaker.shared.reason,
            "since": breaker.shared.since,
            "probe_at": breaker.shared.probe_at if breaker.shared.open else None,
            "failures": breaker.failures,
        }
        for (project_id, ref), breaker in _breakers.items()
    ]


def close(partition: int, scorer_refs: list[str]) -> int:
    """Close the breakers of these scorers on this worker by hand, in every project; returns how many were open."""
    found = [breaker for (_, ref), breaker in _breakers.items() if ref in scorer_refs and breaker.shared.open]
    for breaker in found:
        breaker.close()
    return len(found)


def merge(partition: int, states: list[dict[str, Any]]) -> bool:
    """Take over what another worker sent."""
    for state in msgspec.convert(states, list[BreakerState]):
        of(state.project_id, state.scorer_ref).merge(state)
    return True
