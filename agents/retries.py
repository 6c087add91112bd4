"""Whether a task whose attempt failed gets another one, when, and whether the failed one counts."""

import time
from dataclasses import dataclass

from app.scorers import Failure, Policy, ScorerError
from tables.tasks import Task

_UNCOUNTED = frozenset({Failure.THROTTLED, Failure.POSTPONED})
_CREDENTIAL_ATTEMPTS = 3  # at least: the task that discovers a bad API key should not fail for it


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """The next attempt starts at `next_at` (Unix seconds) or later.

    `excused` of the attempts so far do not count; the time budget runs from `trying_since`, None if it has not begun.
    """

    next_at: float
    excused: int
    trying_since: float | None


def next_attempt(policy: Policy, task: Task, error: ScorerError, excused: bool) -> NextAttempt | None:
    """The attempt after one that failed with `error`; None if there is none.

    An attempt does not count if it was asked to come back later, or is `excused` because other tasks fail as well. In
    the latter case the time budget starts anew.
    """
    if error.failure is Failure.TERMINAL:
        return None
    now = time.time()
    uncounted = task.excused + (excused or error.failure in _UNCOUNTED)
    trying_since = None if excused else (task.trying_since or now)
    if trying_since is not None and _exhausted(policy, error.failure, task.attempts - uncounted, trying_since, now):
        return None
    pause = max(policy.pause(1 if excused else task.attempts), error.retry_after or 0.0)
    return NextAttempt(now + pause, uncounted, trying_since)


def _exhausted(policy: Policy, failure: Failure, attempts: int, trying_since: float, now: float) -> bool:
    if failure is Failure.UNAUTHORIZED and attempts < _CREDENTIAL_ATTEMPTS:
        return False
    return policy.exhausted(attempts, trying_since, now)
