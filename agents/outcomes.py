"""What becomes of tasks, as events: the score of one, its failure, its wait, its end, and who wants it.

Only events are written here, and `agents.recorder` applies them.
"""

import time
from collections.abc import Callable
from typing import Any

from msgspec import Raw
from prometheus_client import Counter

from agents.attempt import Attempt, op_name
from agents.outbox import Outbox
from agents.retries import next_attempt
from app import events
from app.scorers import Outcome, ScorerError, ScorerVersionUnavailable
from app.scorers.report import usd
from app.usage import Usage
from tables import calls, in_flight, provider_requests, tasks
from tables.in_flight import Entry
from tables.tasks import Task, unpark

_ERROR_TYPES: dict[events.ParkReason, str] = {  # of a task that has waited too long
    "waiting_for_call": "call_not_found",
    "scorer_version_unavailable": "scorer_version_unavailable",
}

_tasks = Counter("callscore_tasks_total", "Tasks that ended, or are to be attempted again, on this worker.", ["status"])
_succeeded, _failed, _cancelled, _retrying = map(_tasks.labels, ("succeeded", "failed", "cancelled", "retrying"))
_usd = Counter("callscore_usd_total", "What attempts on this worker cost in US dollars, as far as prices are known.")


class Outcomes:
    """Sends the events of one worker's tasks."""

    def __init__(self, outbox: Outbox, call_wait: float, day: Callable[[], int]) -> None:
        """A task waits for what it lacks for `call_wait` seconds. Usage counts on the `day` of its event."""
        self._outbox = outbox
        self._call_wait = call_wait
        self._day = day

    # --- an attempt has ended ---

    def ended(self, entry: Entry, attempt: Attempt, outcome: Outcome, excused: bool) -> None:
        """An attempt ended; a failure that is `excused` does not count against its task."""
        try:
            if isinstance(outcome, ScorerError):
                self._attempt_failed(entry, attempt, outcome, excused)
            else:
                self._succeed(entry, attempt, outcome)
        except (ValueError, TypeError) as error:  # a safety net: reports are checked in the scorer's process
            described = events.Error(type="invalid_report", message=str(error))
            self.fail(entry, described, op_name=op_name(attempt.call_row["call"]), **self._usage(attempt))

    def _succeed(self, entry: Entry, attempt: Attempt, output: bytes) -> None:
        event = events.ScoreSucceeded(
            **entry.task.facts(), output=Raw(output), **attempt.description(), **self._usage(attempt)
        )
        self._send(entry, event)
        _succeeded.inc()

    def _attempt_failed(self, entry: Entry, attempt: Attempt, error: ScorerError, excused: bool) -> None:
        """Park the task for its next attempt; fail it if it gets none."""
        task, described, usage = entry.task, events.Error.of(error), self._usage(attempt)
        if isinstance(error, ScorerVersionUnavailable):  # it did not run: as if no worker had its code
            task.excused += 1
            message = f"{described.message} No worker had the code of {task.scorer_ref}"
            self.park(entry, "scorer_version_unavailable", message, attempt.call_row, usage)
            return
        following = next_attempt(attempt.bound.policy, task, error, excused)
        if following is None:
            self.fail(entry, described, **attempt.description(), **usage)
            return
        event = events.AttemptFailed(
            **task.facts(),
            withdrawn=entry.withdrawn,
            error=described,
            next_at=following.next_at,
            excused=following.excused,
            trying_since=following.trying_since,
            failing_since=following.failing_since,
            **usage,
        )
        self._send(entry, event)
        _retrying.inc()

    # --- there was no attempt ---

    def park(
        self,
        entry: Entry,
        reason: events.ParkReason,
        message: str,
        call_row: calls.Row | None = None,
        usage: dict[str, Any] | None = None,
    ) -> None:
        """Park a task until what it needs arrives; fail it once it has waited long enough."""
        task, now = entry.task, time.time()
        until = task.due if task.due is not None and task.waits_for == reason else now + self._call_wait
        if now >= until:
            message = f"{message} within {self._call_wait:g} s"
            error = events.Error(type=_ERROR_TYPES[reason], message=message)
            self.fail(entry, error, op_name=op_name(call_row["call"]) if call_row else None, **(usage or {}))
            return
        event = events.TaskParked(
            **task.facts(),
            withdrawn=entry.withdrawn,
            reason=reason,
            until=until,
            excused=task.excused,
            **(usage or {}),
        )
        self._send(entry, event)

    def fail(self, entry: Entry, error: events.Error, **facts: Any) -> None:
        """Fail a task for good."""
        self._send(entry, events.ScoreFailed(**entry.task.facts(), error=error, **facts))
        _failed.inc()

    def join(self, task: Task, round_number: int, attempts: int) -> None:
        """Have requests join a task that is parked or has failed, in the round and after the attempts it has made."""
        task.round, task.attempts = round_number, attempts
        self._send(in_flight.enter(task), events.TaskJoined(**task.facts()))

    def only_remove(self, task: Task) -> None:
        """Remove the row of a parked task that has an outcome already."""
        self._send(in_flight.enter(task), events.ScoreCancelled(**task.facts()))

    # --- requests withdraw from a task ---

    def cancelled(self, entry: Entry) -> None:
        """A running task was cancelled, since its targets have all been withdrawn: the caller has stopped its attempt.

        It keeps its slot until that is applied: otherwise tasks of the same request would start in partitions in which
        it is not cancelled yet.
        """
        task, attempt = entry.task, entry.attempt
        facts = {} if attempt is None else self._usage(attempt) | attempt.description()
        # To the withdrawn targets, since their requests pay for what it has used.
        self._send(entry, events.ScoreCancelled(**task.facts(entry.withdrawn), **facts), keep_slot=True)
        _cancelled.inc()

    def withdraw_from_parked(self, partition: int, key: bytes, row: tasks.Row, withdrawn: list[events.Target]) -> Entry:
        """Withdraw targets from a parked task, and cancel it if it has no other."""
        task = unpark(partition, key, row)
        entry = in_flight.enter(task)
        if len(withdrawn) < len(row.targets):
            self._send(entry, events.TaskWithdrawn(**task.facts(withdrawn)))
        else:
            cut_off = self.cut_off(task)
            self._send(entry, events.ScoreCancelled(**task.facts(withdrawn if cut_off else []), **cut_off))
            _cancelled.inc()
        return entry

    # --- events ---

    def cut_off(self, task: Task) -> dict[str, Any]:
        """The requests that a kill cut off, as fields of an event that no attempt follows."""
        number = provider_requests.cut_off(task.partition, task.key)
        return {"spent": Usage(unanswered=number), "day": self._day()} if number else {}

    def _usage(self, attempt: Attempt) -> dict[str, Any]:
        """What an attempt used, and the day on which it counts, as fields of its event."""
        usage = attempt.usage()
        return {"spent": usage, "day": self._day() if attempt.asked or usage is not None else None}

    def _send(self, entry: Entry, event: events.TaskEvent, keep_slot: bool = False) -> None:
        encoded = event.encode()
        if event.spent is not None:
            _usd.inc(usd(event.spent.cost))
        in_flight.mark_sent(entry, event.at, keep_slot)  # first: if the log fails just now, the event is owed again
        self._outbox.put(entry.task.partition, encoded)
