"""How a task lives and dies.

A task comes from a lane. If it has succeeded before, its score is reused; if it is running or parked, it joins that;
if its call or its scorer's code is missing, it is parked. Otherwise its scorer runs, and the outcome is an event: the
task succeeded, failed, or will be attempted again.

Only events are written here. `agents.recorder` applies them to the tables, and until it has, the task stays in flight,
so that no task runs whose outcome is in the log.
"""

import asyncio
import time
from typing import Any

from msgspec import Raw

from agents.attempt import Attempt, made_of, op_name
from agents.attempts import Attempts
from agents.catalog import Catalog, default_policy, load_registry
from agents.lanes import Chunk
from agents.outbox import Outbox
from agents.parking import Parking
from agents.retries import next_attempt
from agents.room import Room
from agents.scheduler import Scheduler
from agents.steering import Steering
from app import cluster, events, ids
from app.faust_app import app
from app.scorers import Outcome, Runner, ScorerError, ScorerVersionUnavailable
from app.settings import get_settings
from app.usage import Usage
from tables import calls, in_flight, progress, provider_requests, scores, tasks
from tables.in_flight import Entry
from tables.tasks import Task, unpark

MOST_TARGETS = 1_000  # of one task: they all have to fit into one event
_ERROR_TYPES: dict[events.ParkReason, str] = {  # of a task that has waited too long
    "waiting_for_call": "call_not_found",
    "scorer_version_unavailable": "scorer_version_unavailable",
}


class Scoring:
    """The tasks of one worker, from their start until their outcome is in the tables."""

    def __init__(self) -> None:
        self.settings = get_settings()
        self.registry = load_registry()
        self.catalog = Catalog(self.registry, default_policy(self.settings))
        self.runner = Runner()
        self.outbox = Outbox()
        self.attempts = Attempts(self.runner, self.outbox, self.settings.scorer_timeout, self._on_outcome)
        self._wake = asyncio.Event()
        self.room = Room(self.settings, self.catalog, self.runner, self._wake.set)
        self.scheduler = Scheduler(self._wake, self.room.of, self.start, self._steer, self._end_turn)
        self.parking = Parking(self.scheduler.resume)
        self.steering = Steering(
            self.scheduler, self.parking, self.outbox, self.cancel_running, self.withdraw_from_parked
        )
        self._overflow: dict[bytes, list[Task]] = {}  # by key, until the parked task that is full has ended

    # --- a task starts ---

    def start(self, task: Task) -> None:
        """Join, reuse, or run a task that was taken from its lane."""
        if (entry := in_flight.get(task.key)) is not None:
            self._join_in_flight(entry, task)
        elif task.parked:
            self._resume(task)
        elif (ended := scores.ended(task.partition, task.key)) is not None and ended.status == "succeeded":
            self._reuse(task)
        elif (row := self._parked_row(task)) is not None:
            self._join_parked(task, row)
        elif ended is None:
            self._run(task)
        else:
            self._start_again(task, ended)

    def _join_in_flight(self, entry: Entry, task: Task) -> None:
        targets = entry.task.targets
        if entry.running and not task.parked and len(targets) < MOST_TARGETS:
            targets.extend(target for target in task.targets if target not in targets)
        else:
            entry.later.append(task)

    def _resume(self, task: Task) -> None:
        """Run a parked task if it is due and still wanted."""
        row = tasks.load(task.partition, task.key)
        if row is None:
            return
        if row.status == "retrying" and row.due > time.time():  # possible if the clock was set back
            self.parking.resume_at(row.due, task.partition, task.key)
            return
        task = unpark(task.partition, task.key, row)
        ended = scores.ended(task.partition, task.key)
        if ended is not None and ended.round >= row.round:
            # A worker that had lost the partition parked the task while the new owner ran it: only remove the row.
            self._emit(self._enter(task), events.ScoreCancelled(**task.facts()))
        elif self.steering.wanted(task.partition, task.targets):
            self._run(task)

    def _start_again(self, task: Task, ended: scores.Ended) -> None:
        """Run a task that failed or was cancelled, unless it failed only after this request for it was accepted.

        Such a request joins that outcome: it could have joined the attempts if its lane had been reached earlier.
        """
        target = task.targets[0]
        known = progress.load(task.partition, *target[:3])
        if not known.wants(target.call, target.opened):
            return  # it was taken from its lane twice, and has ended since
        if ended.status == "failed" and ended.at >= task.requested_at and not known.control:  # so it is no retry
            self._join(task, ended.round, ended.attempts)
        else:
            task.round = ended.round + 1
            self._run(task)

    def _reuse(self, task: Task) -> None:
        for target in task.targets:
            self.outbox.put_reused(task.partition, target)

    def _parked_row(self, task: Task) -> tasks.Row | None:
        return tasks.load(task.partition, task.key) if self.parking.any(task.partition) else None

    def _join_parked(self, task: Task, row: tasks.Row) -> None:
        if len(row.targets) >= MOST_TARGETS:
            self._overflow.setdefault(task.key, []).append(task)
        else:
            self._join(task, row.round, row.attempts)

    def _join(self, task: Task, round_number: int, attempts: int) -> None:
        task.round, task.attempts = round_number, attempts
        self._emit(self._enter(task), events.TaskJoined(**task.facts()))

    def _run(self, task: Task) -> None:
        """Start an attempt, unless the scorer has no room, or something that it needs is missing."""
        bound = self.catalog.get(task.project_id, task.scorer_ref)
        gate = None if bound is None else self.room.gate(task.project_id, bound)
        if bound is not None and gate is None:
            self.scheduler.put_back(task)
            return
        entry = self._enter(task)
        row, size = calls.find_sized(task.partition, ids.call_key(task.project_id, task.call_id))
        in_flight.hold(entry, size)
        if row is None:
            self._park(entry, "waiting_for_call", f"call {task.call_id} did not arrive")
        elif bound is None or gate is None:
            message = f"no worker has the code of {task.scorer_ref}"
            self._park(entry, "scorer_version_unavailable", message, row, self._cut_off(task))
        elif (error := calls.without_output(row["call"])) is not None:
            self._fail(entry, error, op_name=op_name(row["call"]), lineage=made_of(bound, row))
        else:
            task.attempts += 1
            permit = gate.enter(size, task.attempts - task.excused)
            self.attempts.start(entry, bound, row, permit)

    def _enter(self, task: Task) -> Entry:
        entry = Entry(task, time.time())
        in_flight.add(entry)
        return entry

    # --- an attempt ends ---

    def _on_outcome(self, entry: Entry, attempt: Attempt, outcome: Outcome, excused: bool) -> None:
        """An attempt ended; a failure that is `excused` does not count against its task."""
        try:
            if isinstance(outcome, ScorerError):
                self._attempt_failed(entry, attempt, outcome, excused)
            else:
                self._succeed(entry, attempt, outcome)
        except (ValueError, TypeError) as error:  # a safety net: reports are checked in the scorer's process
            described = events.Error(type="invalid_report", message=str(error))
            self._fail(entry, described, op_name=op_name(attempt.call_row["call"]), **self._usage(attempt))

    def _succeed(self, entry: Entry, attempt: Attempt, output: bytes) -> None:
        event = events.ScoreSucceeded(
            **entry.task.facts(), output=Raw(output), **_description(attempt), **self._usage(attempt)
        )
        self._emit(entry, event)

    def _attempt_failed(self, entry: Entry, attempt: Attempt, error: ScorerError, excused: bool) -> None:
        """Park the task for its next attempt; fail it if it gets none."""
        task, described, usage = entry.task, events.Error.of(error), self._usage(attempt)
        if isinstance(error, ScorerVersionUnavailable):  # it did not run: as if no worker had its code
            task.excused += 1
            message = f"{described.message} No worker had the code of {task.scorer_ref}"
            self._park(entry, "scorer_version_unavailable", message, attempt.call_row, usage)
            return
        following = next_attempt(attempt.bound.policy, task, error, excused)
        if following is None:
            self._fail(entry, described, **_description(attempt), **usage)
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
        self._emit(entry, event)

    def _park(
        self,
        entry: Entry,
        reason: events.ParkReason,
        message: str,
        call_row: calls.Row | None = None,
        usage: dict[str, Any] | None = None,
    ) -> None:
        """Park the task until what it needs arrives; fail it once it has waited long enough."""
        task, now = entry.task, time.time()
        until = task.due if task.due is not None and task.waits_for == reason else now + self.settings.call_wait
        if now >= until:
            message = f"{message} within {self.settings.call_wait:g} s"
            error = events.Error(type=_ERROR_TYPES[reason], message=message)
            self._fail(entry, error, op_name=op_name(call_row["call"]) if call_row else None, **(usage or {}))
            return
        event = events.TaskParked(
            **task.facts(),
            withdrawn=entry.withdrawn,
            reason=reason,
            until=until,
            excused=task.excused,
            **(usage or {}),
        )
        self._emit(entry, event)

    def _fail(self, entry: Entry, error: events.Error, **facts: Any) -> None:
        self._emit(entry, events.ScoreFailed(**entry.task.facts(), error=error, **facts))

    def _usage(self, attempt: Attempt) -> dict[str, Any]:
        """What an attempt used, and the day on which it counts, as an event says it."""
        usage = attempt.usage()
        return {"spent": usage, "day": self.room.budgets.day() if attempt.asked or usage is not None else None}

    def _cut_off(self, task: Task) -> dict[str, Any]:
        """The requests that a kill cut off, as an event says it that no attempt follows."""
        row = provider_requests.load(task.partition, task.key)
        return {} if row is None else {"spent": Usage(unanswered=row[1]), "day": self.room.budgets.day()}

    # --- requests withdraw from a task ---

    def cancel_running(self, entry: Entry) -> None:
        """Cancel a running task, whose targets have all been withdrawn.

        It keeps its slot until that is applied: otherwise tasks of the same request would start in partitions in which
        it is not cancelled yet.
        """
        task, attempt = entry.task, entry.attempt
        self.attempts.cancel(task.key)
        facts = {} if attempt is None else self._usage(attempt) | _description(attempt)
        # To the withdrawn targets, since their requests pay for what it has used.
        self._emit(entry, events.ScoreCancelled(**task.facts(entry.withdrawn), **facts), keep_slot=True)

    def withdraw_from_parked(self, partition: int, key: bytes, row: tasks.Row, withdrawn: list[events.Target]) -> Entry:
        """Withdraw targets from a parked task, and cancel it if it has no other."""
        task = unpark(partition, key, row)
        entry = self._enter(task)
        if len(withdrawn) < len(row.targets):
            self._emit(entry, events.TaskWithdrawn(**task.facts(withdrawn)))
        else:
            cut_off = self._cut_off(task)
            self._emit(entry, events.ScoreCancelled(**task.facts(withdrawn if cut_off else []), **cut_off))
        return entry

    # --- an event is sent, and applied ---

    def _emit(self, entry: Entry, event: events.TaskEvent, keep_slot: bool = False) -> None:
        """Send the event of a task, which is in flight until that is applied."""
        encoded = event.encode()
        in_flight.mark_sent(entry, event.at, keep_slot)  # first: if the log fails just now, the event is owed again
        self.outbox.put(entry.task.partition, encoded)

    def applied(self, key: bytes, at: float) -> None:
        """The recorder has applied the event of a task that was made `at`: the task has left if it is the last one.

        The log may deliver events of earlier attempts again, even while another runs.
        """
        entry = in_flight.get(key)
        if entry is None or entry.running or entry.sent_at != at:
            return
        in_flight.pop(key)
        for task in entry.later:
            self.start(task)
        self._wake.set()

    def unparked(self, key: bytes) -> None:
        """A parked task has ended: start those with more targets than it had room for, unless they were cancelled."""
        for task in self._overflow.pop(key, ()):
            if progress.is_wanted(task.partition, task.targets[0]):
                self.start(task)

    # --- partitions come and go ---

    async def open(self, partition: int) -> None:
        """Start scoring an assigned partition, once the tables have all that the log held at the assignment."""
        assignment = app.rebalancing_count
        self.outbox.flush()
        await app.producer.flush()  # so that the log holds the events of the tasks that `reassigned` has forgotten
        if app.rebalancing_count != assignment:  # else `catch_up` would take a later assignment for this one
            return
        if not await cluster.catch_up(partition) or not self.attempts.writable.is_set():
            return
        self.scheduler.open(partition)
        await self.parking.load(partition)
        self.steering.open(partition)
        self.scheduler.add_early()

    def revoked(self) -> None:
        """Partitions may go to other workers: start nothing and read no table until they are assigned anew.

        Attempts go on, but their outcomes and their requests to providers wait, since the partition may have another
        owner by then. Work on tables is dropped, because the store of a lost partition is closed.
        """
        if self.attempts.writable.is_set():
            self.outbox.flush()
        self.attempts.writable.clear()
        self._forget_all()

    def assigned(self, owned: set[int]) -> None:
        """Partitions were assigned, `owned` to this worker, and their tables are about to be recovered.

        Attempts on partitions that stayed go on, so that no judge is asked twice; all others are cancelled, also if
        their partitions come back before any recovery completes.
        """
        for entry in list(in_flight.entries()):
            if entry.task.partition not in owned:
                in_flight.pop(entry.task.key)
                self.attempts.cancel(entry.task.key)

    def reassigned(self, owned: set[int]) -> None:
        """The tables of an assignment are recovered, and the log delivers again what it still owes.

        Tasks whose event was sent are forgotten. If another worker had the partition meanwhile, it may have applied the
        event, and it is not delivered again; otherwise it is, before anything is started in the partition (`open`).
        """
        self.outbox.keep(owned)
        for entry in in_flight.entries():
            entry.later.clear()
        self._forget_sent()
        self._forget_all()
        self.attempts.writable.set()

    def halted(self) -> None:
        """Nothing can be written until partitions are assigned anew, and events that are not durable yet are lost.

        Attempts go on, and their outcomes wait.
        """
        self.attempts.writable.clear()
        self.outbox.keep(set())
        self._forget_sent()
        self._forget_all()

    def stop_all(self) -> None:
        """The worker stops: attempts are cut off, which is no failure, since the log owes them to the next worker."""
        self.outbox.close()
        self.halted()
        self.attempts.cancel_all()

    def _forget_sent(self) -> None:
        for entry in list(in_flight.entries()):
            if not entry.running:
                in_flight.pop(entry.task.key)

    def _forget_all(self) -> None:
        calls.forget_recent()
        scores.forget_missing()
        self.steering.clear()
        self.parking.clear()
        self._overflow.clear()
        self.scheduler.clear()

    # --- for the scheduler ---

    def _steer(self, chunk: Chunk) -> None:
        self.steering.admit(chunk)

    def _end_turn(self) -> None:
        """Tasks were started: send their events and runs now."""
        if self.attempts.writable.is_set():
            self.outbox.end_turn()
        self.runner.flush()


def _description(attempt: Attempt) -> dict[str, Any]:
    """What an event says of the call and of how the score was made."""
    return {"op_name": op_name(attempt.call_row["call"]), "lineage": attempt.lineage()}


scoring = Scoring()
