"""Which tasks may start: each scorer has a gate, made of its breaker, limits and processes, and its provider's limits.

A scorer published for one project has its own policy there, and its own gate.

A lane whose gate has no room is passed over, so tasks that wait there hold no slot and make no event.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable

from agents import limits
from agents.limits import PLENTY, Limiter
from app.providers import Limits, Provider
from app.scorers import (
    BoundScorer,
    Failure,
    MissingInput,
    ScorerDied,
    ScorerError,
    ScorerTimeout,
    ScorerVersionUnavailable,
)
from tables import breakers
from tables.breakers import OPENING, Breaker

BYTES_A_TOKEN = 4
_REASON_CHARACTERS = 300
_UNANSWERED = (MissingInput, ScorerDied, ScorerTimeout, ScorerVersionUnavailable)
_UNASKED = frozenset(
    {"endpoint_forbidden", "provider_missing", "provider_unknown", "request_too_large", "unknown_scorer"}
)


class Permit:
    """Lets one attempt through a gate (None: through one without limits).

    The first `release`, `abandon` or `return_unused` gives it back; later ones do nothing.
    """

    __slots__ = ("_counted", "_gate", "_probe", "_tokens")

    def __init__(self, gate: "Gate | None", probe: bool, counted: int, tokens: float = 0.0) -> None:
        self._gate = gate
        self._probe = probe
        self._counted = counted
        self._tokens = tokens

    def release(self, error: ScorerError | None) -> bool:
        """End the attempt. True if the failure should not count against the task, because other tasks fail as well."""
        gate = self._take_gate()
        if gate is None:
            return False
        if error is not None:
            return gate.failed(error, self._probe, self._counted)
        gate.succeeded(self._probe)
        return False

    def abandon(self) -> None:
        """End the attempt without an outcome that says anything about the provider."""
        if (gate := self._take_gate()) is not None:
            gate.abandoned(self._probe)

    def return_unused(self) -> None:
        """End the attempt, for which nobody had to be asked: it does not count in any limit."""
        if (gate := self._take_gate()) is not None:
            gate.unused(self._probe, self._tokens)

    def _take_gate(self) -> "Gate | None":
        gate, self._gate = self._gate, None
        return gate


class Gate:
    """What every attempt of one scorer has to pass."""

    def __init__(
        self,
        breaker: Breaker,
        own: Limiter,
        provider: Limiter | None,
        wake: Callable[[], None],
        processes: Limiter | None = None,
    ) -> None:
        self.own = own
        self._breaker = breaker
        self._asks = provider is not None
        self._limiters = [limiter for limiter in (processes, own, provider) if limiter is not None]
        self._wake = wake
        self.answer_tokens = 0
        self.timeout = 0.0  # seconds

    def room(self) -> int:
        """How many tasks may start now."""
        is_open = self._breaker.shared.open
        if is_open and not self._breaker.lets_through(time.time()):
            return 0
        now = limits.now()
        room = min(limiter.room(now) for limiter in self._limiters)
        return min(room, 1) if is_open else room

    def ready_in(self) -> float:
        """Seconds until there may be room as time goes by; infinity if only the end of an attempt makes some."""
        if self._breaker.probing:
            return math.inf
        now = limits.now()
        waits = [limiter.ready_at(now) - now for limiter in self._limiters]
        if self._breaker.shared.open:
            waits.append(self._breaker.wait(time.time()))
        return max(0.0, *waits)

    def enter(self, call_bytes: int, counted: int) -> Permit:
        """Start an attempt on a call of `call_bytes`, after which `counted` attempts count against the task."""
        tokens, now = call_bytes / BYTES_A_TOKEN + self.answer_tokens, limits.now()
        for limiter in self._limiters:
            limiter.take(tokens, now)
        return Permit(self, self._breaker.enter(), counted, tokens)

    def succeeded(self, probe: bool) -> None:
        for limiter in self._limiters:
            limiter.give_back()
            limiter.answered(limits.now())
        self._breaker.succeeded(probe)
        self._wake()

    def failed(self, error: ScorerError, probe: bool, counted: int) -> bool:
        failure = self.failure(error)
        if failure not in OPENING and (isinstance(error, _UNANSWERED) or error.type in _UNASKED):
            self.abandoned(probe)  # the provider was not asked, or did not answer
            return False
        for limiter in self._limiters:
            limiter.give_back()
        if failure is Failure.THROTTLED:
            # The provider refused if there is one, else the scorer itself.
            self._limiters[-1].refused(error.retry_after, limits.now())
        was_open = self._breaker.failed(failure, _reason(error), error.retry_after, probe)
        amid_others = self._breaker.failures > 1 and not probe
        if amid_others and isinstance(error, ScorerTimeout):
            # More at once than the provider answers in time. Its other scorers may well wait for longer.
            self.own.refused(None, limits.now(), max(limits.SIGNAL, self.timeout))
        self._wake()
        return was_open or self._breaker.failures > counted

    def abandoned(self, probe: bool) -> None:
        for limiter in self._limiters:
            limiter.give_back()
        self._breaker.abandon(probe)
        self._wake()

    def unused(self, probe: bool, tokens: float) -> None:
        for limiter in self._limiters:
            limiter.give_back_unused(tokens, limits.now())
        self._breaker.abandon(probe)
        self._wake()

    def failure(self, error: ScorerError) -> Failure:
        """The kind of failure. A scorer with a provider that timed out was most likely waiting for the provider."""
        if isinstance(error, ScorerTimeout) and self._asks:
            return Failure.UNAVAILABLE
        return error.failure


class _Unlimited(Gate):
    """The gate of all scorers that nothing limits: one permit serves for all attempts."""

    def __init__(self) -> None:
        super().__init__(Breaker(""), Limiter(Limits()), None, lambda: None)
        self._permit = Permit(None, False, 0)

    def room(self) -> int:
        return PLENTY

    def enter(self, call_bytes: int, counted: int) -> Permit:
        return self._permit


class Admission:
    """All gates of a worker. `wake` is called when one of them may have room again."""

    def __init__(self, providers: dict[str, Provider], wake: Callable[[], None], processes_of_one: int) -> None:
        self._providers = {name: Limiter(provider.limits, 0.0) for name, provider in providers.items()}
        self._gates: dict[tuple[str | None, str], tuple[BoundScorer, Gate]] = {}  # by project and ref
        self._processes: dict[str, Limiter] = {}  # by ref
        self._wake = wake
        self._processes_of_one = processes_of_one
        self._unlimited = _Unlimited()
        self._alarm: tuple[float, asyncio.TimerHandle] | None = None
        self._share = 0.0
        breakers.when_changed.append(wake)

    def gate(self, bound: BoundScorer) -> Gate:
        """The gate of a scorer, by its policy of now."""
        where = (bound.project_id, bound.ref)
        known = self._gates.get(where)
        if known is not None and known[0] is bound:
            return known[1]
        gate = self._make(bound, known[1] if known else None)
        self._gates[where] = (bound, gate)
        return gate

    def room(self, gate: Gate) -> int:
        """How many attempts may pass a gate now; if none, `wake` is called when that may have changed."""
        room = gate.room()
        if room <= 0:
            self._wake_in(gate.ready_in())
        return max(0, room)

    def take_share(self, share: float) -> None:
        """Apply the part of all limits that this worker may use."""
        self._share = share
        for limiter in self._limiters():
            limiter.share = share
        self._wake()

    def _make(self, bound: BoundScorer, known: Gate | None) -> Gate:
        policy = bound.policy
        own = Limits(**{name: getattr(policy, name) for name in Limits.model_fields})
        if bound.mode == "inline" and own == Limits() and policy.provider is None:
            return self._unlimited
        limiter = known.own if known is not None and known is not self._unlimited else Limiter(own, self._share)
        limiter.limit(own)
        processes = provider = None
        if bound.mode == "process":
            # Limits count from the start: attempts that wait for a process would later send their requests all at once.
            processes = self._processes.setdefault(bound.ref, Limiter(Limits(), self._share))
            processes.at_most = self._processes_of_one
        if policy.provider is not None:
            provider = self._providers.setdefault(policy.provider, Limiter(Limits(), self._share))
        gate = Gate(breakers.of(bound.project_id, bound.ref), limiter, provider, self._wake, processes)
        gate.answer_tokens = policy.answer_tokens or 0
        gate.timeout = policy.timeout or 0.0
        return gate

    def _limiters(self) -> Iterable[Limiter]:
        yield from self._providers.values()
        yield from self._processes.values()
        for _, gate in self._gates.values():
            yield gate.own

    def _wake_in(self, seconds: float) -> None:
        if math.isinf(seconds):
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        if self._alarm is not None:
            if self._alarm[0] <= at and not self._alarm[1].cancelled():
                return
            self._alarm[1].cancel()
        self._alarm = (at, loop.call_later(max(seconds, 0.001), self._ring))

    def _ring(self) -> None:
        self._alarm = None
        self._wake()


def _reason(error: ScorerError) -> str:
    return f"{error.type}: {error.message}"[:_REASON_CHARACTERS]
