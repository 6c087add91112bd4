"""What becomes of a task whose attempt failed: another attempt, when, and what the failed one counts."""

import time
from dataclasses import dataclass

from agents.lanes import Task
from app.scorers import Failure, Policy, ScorerError

_UNCOUNTED = frozenset({Failure.THROTTLED, Failure.POSTPONED})
_CREDENTIAL_ATTEMPTS = 3  # at least: the task that finds out that a key is bad must not pay for it


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """The attempt to come: not before `next_at`, Unix seconds.

    `excused` of the attempts made so far do not count; the budget in time runs from `trying_since` on, None if it has
    not begun.
    """

    next_at: float
    excused: int
    trying_since: float | None


def next_attempt(policy: Policy, task: Task, error: ScorerError, paused: bool) -> NextAttempt | None:
    """The attempt after one that failed with `error`; None if there is none.

    An attempt that was told to come back later, or that failed amid failures of others (`paused`), says nothing about
    its task and does not count. What was spent before is then forgiven.
    """
    if error.failure is Failure.TERMINAL:
        return None
    now = time.time()
    excused = task.excused + (paused or error.failure in _UNCOUNTED)
    trying_since = None if paused else (task.trying_since or now)
    if trying_since is not None and _spent(policy, error.failure, task.attempts - excused, trying_since, now):
        return None
    pause = max(policy.pause(1 if paused else task.attempts), error.retry_after or 0.0)
    return NextAttempt(now + pause, excused, trying_since)


def _spent(policy: Policy, failure: Failure, attempts: int, trying_since: float, now: float) -> bool:
    if failure is Failure.UNAUTHORIZED and attempts < _CREDENTIAL_ATTEMPTS:
        return False
    return policy.spent(attempts, trying_since, now)
