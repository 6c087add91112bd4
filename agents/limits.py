"""The limits of providers and scorers: attempts at once, and requests and tokens in a minute.

Libraries for this (aiolimiter, limits, pyrate-limiter) let a full minute's worth through at once and refill meanwhile,
and have no rate that changes. Here attempts are spread evenly (the generic cell rate algorithm of ITU-T I.371): no
window sees more than its part plus a twentieth of a second's (of tokens: plus one attempt's), not even after a restart.
"""

import math
import time

from app.providers import Limits

BURST = 0.05  # seconds' worth that may come together, since an event loop is not punctual
SLACK = 1e-6
PLENTY = 1_000_000  # attempts: no limit
LOWEST = 1 / 64  # of a limit, which refusals never go below
RECOVERY = 0.05  # of a limit, by which it grows again with each second, or other pace, of answers
SIGNAL = 1.0  # seconds in which all refusals count as one


class Rate:
    """A rate of units, evenly spread; `burst` seconds' worth may come together.

    `share` is the part of it that this worker may use. An attempt may take more than there is room for; the next one
    then waits for longer.
    """

    def __init__(self, per_minute: float, burst: float) -> None:
        self.per_minute = per_minute
        self._burst = burst
        self._next = 0.0  # when the next unit would be on time

    def room(self, share: float, now: float) -> float:
        """Units that may be taken now."""
        rate = self.per_minute / 60 * share
        burst = max(1.0, rate * self._burst)
        return burst - max(0.0, self._next - now) * rate + SLACK

    def ready_at(self, share: float) -> float:
        """When there will be room for one."""
        rate = self.per_minute / 60 * share
        return self._next - (max(1.0, rate * self._burst) - 1) / rate if rate > 0 else math.inf

    def take(self, units: float, share: float, now: float) -> None:
        self._next = max(self._next, now) + units / (self.per_minute / 60 * share)


class Limiter:
    """The limits of one provider or scorer on this worker: a refusal halves them, answers bring them back slowly.

    `share` is the part of all workers' limits that this one may use.
    """

    def __init__(self, limits: Limits, share: float = 1.0) -> None:
        self.held = 0  # attempts that are under way
        self.at_most = PLENTY  # attempts at a time on this worker, whatever the limits are
        self.share = share
        self._factor = 1.0
        self._ceiling = 1  # attempts that were under way at the last refusal
        self._halved_at = self._raised_at = -math.inf
        self._pace = SIGNAL
        self._silent_until = -math.inf
        self._requests: Rate | None = None
        self._tokens: Rate | None = None
        self.limit(limits)

    def limit(self, limits: Limits) -> None:
        """Change the limits; what was taken stays taken."""
        self.limits = limits
        self._requests = _rate(self._requests, limits.requests_per_minute, BURST)
        self._tokens = _rate(self._tokens, limits.tokens_per_minute, 0.0)

    def room(self, now: float) -> int:
        """How many attempts may start now."""
        if now < self._silent_until or self.share <= 0:
            return 0
        room = self._at_once() - self.held
        share = self.share * self._factor
        if self._requests is not None and room > 0:
            room = min(room, int(self._requests.room(share, now)))
        if self._tokens is not None and room > 0:
            # One at a time, since the tokens of an attempt are known when it starts.
            room = min(room, 1 if self._tokens.room(share, now) >= 1 else 0)
        return room

    def ready_at(self, now: float) -> float:
        """When there will be room as time goes by; infinity if only the end of an attempt makes some."""
        if self._at_once() <= self.held or self.share <= 0:
            return math.inf
        share = self.share * self._factor
        rates = [rate.ready_at(share) for rate in (self._requests, self._tokens) if rate is not None]
        return max(self._silent_until, now, *rates)

    def take(self, tokens: float, now: float) -> None:
        """An attempt starts."""
        self.held += 1
        self._count(1, tokens, now)

    def give_back(self) -> None:
        """An attempt has ended."""
        self.held -= 1

    def give_back_unused(self, tokens: float, now: float) -> None:
        """An attempt has ended, and nobody was asked, so it does not count."""
        self.held -= 1
        self._count(-1, -tokens, now)

    def refused(self, retry_after: float | None, now: float, pace: float = SIGNAL) -> None:
        """An attempt was refused as one too many; none starts until `retry_after` seconds have passed.

        It takes `pace` seconds until it shows that fewer attempts start: within them all refusals count as one, and
        answers bring the limits back by one step.
        """
        if retry_after is not None:
            self._silent_until = max(self._silent_until, now + retry_after)
        if now >= self._halved_at + pace:
            self._halved_at = self._raised_at = now
            self._pace = pace
            if self._factor == 1.0:
                self._ceiling = self.held + 1
            self._factor = max(LOWEST, self._factor / 2)

    def answered(self, now: float) -> None:
        """An attempt was answered."""
        if self._factor < 1.0 and now >= self._raised_at + self._pace:
            self._raised_at = now
            self._factor = min(1.0, self._factor + RECOVERY)

    def _count(self, requests: int, tokens: float, now: float) -> None:
        share = self.share * self._factor
        if self._requests is not None and share > 0:
            self._requests.take(requests, share, now)
        if self._tokens is not None and share > 0:
            self._tokens.take(tokens, share, now)

    def _at_once(self) -> int:
        most = self.limits.concurrency
        if most is not None:
            return min(self.at_most, max(1, int(most * self.share * self._factor)))
        return self.at_most if self._factor == 1.0 else max(1, int(self._ceiling * self._factor))


def _rate(known: Rate | None, per_minute: float | None, burst: float) -> Rate | None:
    if per_minute is None:
        return None
    if known is None:
        return Rate(per_minute, burst)
    known.per_minute = per_minute
    return known


def now() -> float:
    """The clock of all limits, seconds."""
    return time.monotonic()
