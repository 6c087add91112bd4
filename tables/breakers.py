"""Circuit breakers, one a scorer: what stops asking for a scorer whose provider is not there, and finds out when it is.

In memory only, and told from worker to worker: after a restart of all of them the first failures open one again.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypedDict

from app.scorers import Failure

FAILURES = 10  # in a row, of rate limits, answers of 5xx and connections that fail, open a breaker
FIRST_PAUSE = 1.0  # seconds until a breaker that opened lets a task through, doubled each time that one fails
LONGEST_PAUSE = 30.0
OPENING = frozenset({Failure.THROTTLED, Failure.UNAVAILABLE, Failure.UNAUTHORIZED})

State = Literal["closed", "open", "half_open"]


@dataclass(slots=True)
class Told:
    """What workers tell each other about one breaker: the higher version holds. Times are Unix seconds."""

    scorer_ref: str
    version: int = 0
    open: bool = False
    reason: str | None = None
    since: float = 0.0
    probe_at: float = 0.0
    pauses: int = 0  # since it opened


class Breaker:
    """The breaker of one scorer on this worker.

    Closed: all tasks pass. Open: none, until `probe_at`. Half open: one task is under way to see how things are.
    """

    def __init__(self, scorer_ref: str) -> None:
        self.told = Told(scorer_ref, since=time.time())
        self.failures = 0  # in a row
        self.probing = False

    @property
    def state(self) -> State:
        if not self.told.open:
            return "closed"
        return "half_open" if self.probing else "open"

    def lets_through(self, now: float) -> bool:
        """Whether a task may start: always while closed, else one at a time from `probe_at` on."""
        return not self.told.open or (not self.probing and now >= self.told.probe_at)

    def enter(self) -> bool:
        """A task starts; returns whether it is the one that shows how things are."""
        probe = self.told.open
        self.probing |= probe
        return probe

    def succeeded(self, probe: bool) -> None:
        """What was started before the breaker opened says nothing about how things are now."""
        if probe or not self.told.open:
            self.failures = 0
        if probe:
            self.close()

    def failed(self, failure: Failure, reason: str, retry_after: float | None, probe: bool) -> bool:
        """An attempt failed; returns whether the breaker was open, so that the failure is not its task's."""
        self.probing &= not probe
        if failure not in OPENING:
            self.succeeded(probe)
            return False
        was_open = self.told.open
        self.failures += 1
        if probe or (not was_open and (failure is Failure.UNAUTHORIZED or self.failures >= FAILURES)):
            self._open(reason, retry_after)
        return was_open

    def left(self, probe: bool) -> None:
        """An attempt ended without showing anything."""
        self.probing &= not probe

    def close(self) -> None:
        """Let tasks through again."""
        self.probing, self.failures = False, 0
        if self.told.open:
            self._tell(Told(self.told.scorer_ref, self.told.version + 1, since=time.time()))

    def hear(self, told: Told) -> None:
        """What another worker says."""
        if told.version > self.told.version:
            if not told.open:
                self.probing, self.failures = False, 0
            self._tell(told)

    def _open(self, reason: str, retry_after: float | None) -> None:
        now, told = time.time(), self.told
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(told.pauses, 10))
        since = told.since if told.open else now
        probe_at = now + max(pause, retry_after or 0.0)
        self._tell(Told(told.scorer_ref, told.version + 1, True, reason, since, probe_at, told.pauses + 1))

    def _tell(self, told: Told) -> None:
        self.told = told
        for callback in when_changed:
            callback()


when_changed: list[Callable[[], None]] = []  # called whenever a breaker opens or closes, or stays open for longer
_breakers: dict[str, Breaker] = {}


def of(scorer_ref: str) -> Breaker:
    """The breaker of a scorer."""
    breaker = _breakers.get(scorer_ref)
    if breaker is None:
        breaker = _breakers[scorer_ref] = Breaker(scorer_ref)
    return breaker


def paused_by(scorer_ref: str) -> Told | None:
    """The breaker of a scorer, if it is open."""
    breaker = _breakers.get(scorer_ref)
    return breaker.told if breaker is not None and breaker.told.open else None


def to_tell() -> list[dict[str, Any]]:
    """What other workers have to know: every breaker that has ever opened."""
    return [asdict(breaker.told) for breaker in _breakers.values() if breaker.told.version]


# --- queries -------------------------------------------------------------------------------------


class Shown(TypedDict):
    """A breaker as one worker sees it."""

    scorer_ref: str
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
            "state": breaker.state,
            "version": breaker.told.version,
            "reason": breaker.told.reason,
            "since": breaker.told.since,
            "probe_at": breaker.told.probe_at if breaker.told.open else None,
            "failures": breaker.failures,
        }
        for ref, breaker in _breakers.items()
    ]


def close(partition: int, scorer_refs: list[str]) -> int:
    """Close breakers on this worker by hand; returns how many were open."""
    found = [breaker for ref in scorer_refs if (breaker := _breakers.get(ref)) is not None and breaker.told.open]
    for breaker in found:
        breaker.close()
    return len(found)


def hear(partition: int, told: list[dict[str, Any]]) -> bool:
    """What another worker tells."""
    for one in told:
        of(one["scorer_ref"]).hear(Told(**one))
    return True
