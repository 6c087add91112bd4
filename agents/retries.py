"""Whether a task whose attempt failed gets another one, when, and whether the failed one counts."""

import time
from dataclasses import dataclass

from app.scorers import Failure, Policy, ScorerError
from tables.tasks import Task

_UNCOUNTED = frozenset({Failure.THROTTLED, Failure.POSTPONED})
_LEAST_ATTEMPTS = 3  # of a task that finds out that an API key is bad, or that a provider is away
_EXCUSED_FOR = 3600.0  # seconds, at least: a budget may be short, and still no outage should fail the backlog


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """The next attempt starts at `next_at` (Unix seconds) or later.

    `excused` of the attempts so far do not count; the time budget runs from `trying_since`, None if it has not begun.
    `failing_since` is when the first attempt of all failed.
    """

    next_at: float
    excused: int
    trying_since: float | None
    failing_since: float


def next_attempt(policy: Policy, task: Task, error: ScorerError, excused: bool) -> NextAttempt | None:
    """The attempt after one that failed with `error`; None if there is none.

    An attempt does not count if it was asked to come back later, or is `excused` because other tasks fail as well. In
    the latter case the time budget starts anew, but not for ever: if the provider is well and only a few calls are not
    answered, these excuse each other.
    """
    if error.failure is Failure.TERMINAL:
        return None
    now = time.time()
    uncounted = task.excused + (excused or error.failure in _UNCOUNTED)
    failing_since = task.failing_since or now
    trying_since = None if excused else (task.trying_since or now)
    if trying_since is None:
        ended = _excused_too_long(policy, task.attempts, failing_since, now)
    else:
        ended = _exhausted(policy, error.failure, task.attempts - uncounted, trying_since, now)
    if ended:
        return None
    pause = max(policy.pause(1 if excused else task.attempts), error.retry_after or 0.0)
    return NextAttempt(now + pause, uncounted, trying_since, failing_since)


def _excused_too_long(policy: Policy, attempts: int, failing_since: float, now: float) -> bool:
    """Whether a task has failed amid others for longer than its budget, and tried as often as it would alone."""
    longest = max(policy.budget or 0.0, _EXCUSED_FOR)
    return now >= failing_since + longest and attempts >= max(policy.attempts or 0, _LEAST_ATTEMPTS)


def _exhausted(policy: Policy, failure: Failure, attempts: int, trying_since: float, now: float) -> bool:
    if failure is Failure.UNAUTHORIZED and attempts < _LEAST_ATTEMPTS:
        return False
    return policy.exhausted(attempts, trying_since, now)
