"""How a task lives and dies.

A task comes from a lane. If its outcome is known it is reused; if it is running or parked its request joins it; if
its call or its scorer's code is not there yet it is parked. Else its scorer runs, and what came of that is an event:
succeeded, failed, or another attempt later. Nothing is written here but events: `agents.recorder` applies them to the
tables, and until it has, the task stays in flight, so that no task runs whose outcome is in the log.
"""

import asyncio
import time
from typing import Any

from msgspec import Raw

from agents.attempts import Attempts
from agents.catalog import Catalog, default_policy, load_registry
from agents.lanes import Chunk, Task, unpark
from agents.outbox import Outbox
from agents.parking import Parking
from agents.retries import next_attempt
from agents.room import Room
from agents.runs import Run, made_of, op_name
from agents.scheduler import Scheduler
from agents.steering import Steering
from app import cluster, events, ids
from app.scorers import Outcome, Runner, ScorerError, ScorerVersionUnavailable
from app.settings import get_settings
from app.spent import Spent
from tables import calls, in_flight, progress, provider_requests, scores, tasks
from tables.in_flight import Entry

MOST_TARGETS = 1_000  # places that one event tells the outcome of a task to: it must fit into a record


class Scoring:
    """The tasks of one worker, from when they are started until what became of them is in the tables."""

    def __init__(self) -> None:
        self.settings = get_settings()
        self.registry = load_registry()
        self.catalog = Catalog(self.registry, default_policy(self.settings))
        self.runner = Runner()
        self.outbox = Outbox()
        self.attempts = Attempts(self.runner, self.outbox, self.settings.scorer_timeout, self._ended)
        self._wake = asyncio.Event()
        self.room = Room(self.settings, self.catalog, self.runner, self._wake.set)
        self.scheduler = Scheduler(self._wake, self.room.of, self.start, self._admit, self._end_turn)
        self.parking = Parking(self.scheduler.resume)
        self.steering = Steering(self.scheduler, self.parking, self.outbox, self.stop, self.withdraw)
        self._behind: dict[bytes, list[Task]] = {}  # by key, until the parked one has ended, which takes no more

    # --- a task ---

    def start(self, task: Task) -> None:
        """Deal with one task: reuse, join, park or run it."""
        entry = in_flight.get(task.key)
        if entry is not None:
            if entry.running and not task.parked and len(entry.targets) < MOST_TARGETS:
                entry.targets.extend(target for target in task.targets if target not in entry.targets)
            else:
                entry.later.append(task)
            return
        if task.parked:
            self._start_again(task)
            return
        ended = scores.ended(task.partition, task.key)
        if ended is not None and ended[0] == "succeeded":
            self._reuse(task)
            return
        if self.parking.any(task.partition) and (row := tasks.load(task.partition, task.key)) is not None:
            self._join(task, row)
            return
        if ended is not None:
            target = task.targets[0]
            if not progress.load(task.partition, *target[:3]).wants(target.call, target.opened):
                return  # taken from its lane twice, and it has ended since
            task.round = ended[1] + 1
        self._run(task)

    def _start_again(self, task: Task) -> None:
        """Run a parked task, if its time has come and a request still wants it."""
        row = tasks.load(task.partition, task.key)
        if row is None:
            return
        if row.status == "retrying" and row.due > time.time():  # if only since the clock was set back meanwhile
            self.parking.resume_at(row.due, task.partition, task.key)
            return
        task = unpark(task.partition, task.key, row)
        ended = scores.ended(task.partition, task.key)
        if ended is not None and ended[1] >= row.round:
            # A worker that had lost the partition parked it beside the one that ran it: it has ended as its score says.
            self._say(self._enter(task), events.ScoreCancelled(**task.facts(task.targets)))
        elif self.steering.wanted(task.partition, task.targets):
            self._run(task)

    def stop(self, entry: Entry) -> None:
        """End a task that runs and that no request wants any more.

        It keeps its place for now: its request may be about to be cancelled in other partitions, whose tasks would
        start in the meantime.
        """
        self.attempts.cancel(entry.key)
        run = entry.run
        known = {} if run is None else self._spent(run) | _of_run(run)
        # The places of the requests that had it run: what it took until now is theirs.
        event = events.ScoreCancelled(**entry.task.facts(entry.withdrawn), **known)
        self._send(entry, event.encode(), event.at, keep_place=True)

    def withdraw(self, partition: int, key: bytes, row: tasks.Row, gone: list[events.Target]) -> Entry:
        """Take targets from a parked task, which ends if it has no other."""
        task = unpark(partition, key, row)
        entry = self._enter(task)
        if len(gone) < len(row.targets):
            self._say(entry, events.TaskWithdrawn(**task.facts(gone)))
        else:
            cut_off = self._cut_off(task)
            self._say(entry, events.ScoreCancelled(**task.facts(gone if cut_off else []), **cut_off))
        return entry

    def _reuse(self, task: Task) -> None:
        for target in task.targets:
            self.outbox.put_reused(task.partition, target)

    def _join(self, task: Task, row: tasks.Row) -> None:
        if len(row.targets) >= MOST_TARGETS:
            self._behind.setdefault(task.key, []).append(task)
            return
        task.round, task.attempts = row.round, row.attempts
        self._say(self._enter(task), events.TaskJoined(**task.facts(task.targets)))

    def _run(self, task: Task) -> None:
        bound = self.catalog.get(task.project_id, task.scorer_ref)
        gate = None if bound is None else self.room.gate(task.project_id, bound)
        if bound is not None and gate is None:
            self.scheduler.put_back(task)
            return
        entry = self._enter(task)
        call_row, size = calls.find_sized(task.partition, ids.call_key(task.project_id, task.call_id))
        in_flight.hold(entry, size)
        if call_row is None:
            self._wait(task, entry, "waiting_for_call", "call_not_found", f"call {task.call_id} did not arrive")
            return
        if bound is None or gate is None:
            message = f"no worker has the code of {task.scorer_ref}"
            kind = "scorer_version_unavailable"
            self._wait(task, entry, "scorer_version_unavailable", kind, message, self._cut_off(task), call_row["call"])
            return
        call = call_row["call"]
        lacking = calls.without_output(call)
        if lacking is not None:
            self._fail(task, entry, lacking, call, made_of(bound, call_row))
            return
        task.attempts += 1
        attempt = gate.enter(size, task.attempts - task.excused)
        if bound.inline_for(call):
            self.attempts.run_inline(entry, bound, call_row, attempt)
        else:
            self.attempts.start(entry, bound, call_row, attempt)

    # --- what became of it ---

    def _ended(self, entry: Entry, run: Run, outcome: Outcome, paused: bool) -> None:
        """An attempt ended, while its scorer's breaker was open or not."""
        try:
            if isinstance(outcome, ScorerError):
                self._attempt_failed(entry.task, entry, run, outcome, paused)
            else:
                self._succeed(entry.task, entry, run, outcome)
        except (ValueError, TypeError) as error:  # a net: what a scorer tells is checked in its process
            described = events.Error(type="invalid_report", message=str(error))
            self._fail(entry.task, entry, described, run.call_row["call"], spent=self._spent(run))

    def _succeed(self, task: Task, entry: Entry, run: Run, output: bytes) -> None:
        event = events.ScoreSucceeded(
            **task.facts(entry.targets),
            output=Raw(output),
            **_of_run(run),
            **self._spent(run),
        )
        self._say(entry, event)

    def _attempt_failed(self, task: Task, entry: Entry, run: Run, error: ScorerError, paused: bool) -> None:
        described = events.Error(
            type=error.type,
            message=getattr(error, "message", str(error)),
            traceback=getattr(error, "traceback", None),
            raw=getattr(error, "raw", None),
        )
        if isinstance(error, ScorerVersionUnavailable):  # it did not run, and waits as if no worker had its code
            task.excused += 1
            message = f"{described.message} No worker had the code of {task.scorer_ref}"
            self._wait(
                task, entry, "scorer_version_unavailable", error.type, message, self._spent(run), run.call_row["call"]
            )
            return
        following = next_attempt(run.bound.policy, task, error, paused)
        if following is None:
            self._fail(task, entry, described, run.call_row["call"], run.lineage(), self._spent(run))
            return
        event = events.AttemptFailed(
            **task.facts(entry.targets),
            withdrawn=entry.withdrawn,
            error=described,
            next_at=following.next_at,
            excused=following.excused,
            trying_since=following.trying_since,
            **self._spent(run),
        )
        self._say(entry, event)

    def _fail(
        self,
        task: Task,
        entry: Entry,
        error: events.Error,
        call: dict[str, object] | None = None,
        lineage: dict[str, Any] | None = None,
        spent: dict[str, Any] | None = None,
    ) -> None:
        event = events.ScoreFailed(
            **task.facts(entry.targets),
            error=error,
            op_name=op_name(call or {}),
            lineage=lineage or {},
            **(spent or {}),
        )
        self._say(entry, event)

    def _wait(
        self,
        task: Task,
        entry: Entry,
        reason: events.ParkReason,
        error_type: str,
        message: str,
        spent: dict[str, Any] | None = None,
        call: dict[str, object] | None = None,
    ) -> None:
        """Park the task until what it lacks arrives; fail it once it has waited long enough."""
        now = time.time()
        until = task.due if task.due is not None and task.waits_for == reason else now + self.settings.call_wait
        if now >= until:
            message = f"{message} within {self.settings.call_wait:g} s"
            self._fail(task, entry, events.Error(type=error_type, message=message), call, spent=spent)
            return
        event = events.TaskParked(
            **task.facts(entry.targets),
            withdrawn=entry.withdrawn,
            reason=reason,
            until=until,
            excused=task.excused,
            **(spent or {}),
        )
        self._say(entry, event)

    # --- in flight ---

    def _say(self, entry: Entry, event: events.TaskEvent) -> None:
        """Send an event of a task."""
        self._send(entry, event.encode(), event.at)

    def _send(self, entry: Entry, encoded: bytes, at: float, keep_place: bool = False) -> None:
        """Send what became of a task, which is in flight until that is applied."""
        in_flight.say(entry, at, keep_place)  # first: if the log fails just now, what was said is owed again
        self.outbox.put(entry.partition, encoded)

    def _enter(self, task: Task) -> Entry:
        where = task.partition, task.key, task.project_id, task.scorer_ref
        entry = Entry(*where, task.targets, since=time.time(), task=task)
        in_flight.add(entry)
        return entry

    def applied(self, key: bytes, at: float) -> None:
        """The recorder has applied what was said at `at` of a task: if it was said last, it is no longer in flight.

        The log may hand out again what was said before: of an earlier attempt, while this one runs.
        """
        entry = in_flight.get(key)
        if entry is None or entry.running or entry.said_at != at:
            return
        in_flight.pop(key)
        for task in entry.later:
            self.start(task)
        self._wake.set()

    def unparked(self, key: bytes) -> None:
        """A task is parked no more: those that wait behind it have their turn, unless they were withdrawn meanwhile."""
        for task in self._behind.pop(key, ()):
            target = task.targets[0]
            if progress.load(task.partition, *target[:3]).wants(target.call, target.opened):
                self.start(task)

    def _spent(self, run: Run) -> dict[str, Any]:
        spent = run.spent()  # also if only an earlier attempt asked, which a kill cut off
        return {"spent": spent, "day": self.room.budgets.day() if run.asked or spent is not None else None}

    def _cut_off(self, task: Task) -> dict[str, Any]:
        """What an event says of requests that a kill cut off, if no further attempt will say it."""
        row = provider_requests.load(task.partition, task.key)
        return {} if row is None else {"spent": Spent(unanswered=row[1]), "day": self.room.budgets.day()}

    # --- partitions come and go ---

    async def open(self, partition: int) -> None:
        """Start scoring a partition that was assigned, once all that the log held then is in the tables."""
        if not await cluster.catch_up(partition) or not self.attempts.writable.is_set():
            return
        self.scheduler.open(partition)
        await self.parking.load(partition)
        self.steering.open(partition)
        self.scheduler.add_early()

    def revoked(self) -> None:
        """Partitions may go to others: nothing more is started, and no table read, until they are assigned anew.

        What runs goes on, and what comes of it and whom it wants to ask waits: the partition may be another's by then.
        Whoever was at work on a table lets go of it, since a store that goes is closed.
        """
        if self.attempts.writable.is_set():
            self.outbox.flush()
        self.attempts.writable.clear()
        self._forget_all()

    def reassigned(self, owned: set[int]) -> None:
        """Partitions were assigned anew, `owned` are here now, and the log hands out again what they still owe.

        What runs on a partition that stayed goes on, so that no judge is asked twice; the rest is cancelled.
        """
        self.outbox.keep(owned)
        for entry in list(in_flight.entries()):
            entry.later.clear()
            if entry.partition not in owned:
                in_flight.pop(entry.key)
                self.attempts.cancel(entry.key)
        self._forget_all()
        self.attempts.writable.set()

    def halted(self) -> None:
        """Nothing can be written until partitions are assigned anew. What was sent and is not durable yet is lost.

        What runs goes on, and its outcome waits.
        """
        self.attempts.writable.clear()
        self.outbox.keep(set())
        for entry in list(in_flight.entries()):
            if not entry.running:
                in_flight.pop(entry.key)
        self._forget_all()

    def stop_all(self) -> None:
        """The worker stops: what runs is cut off, which is no failure, since the log owes it to the next worker."""
        self.outbox.close()
        self.halted()
        self.attempts.cancel_all()

    def _forget_all(self) -> None:
        calls.forget_recent()
        scores.forget_missing()
        self.steering.clear()
        self.parking.clear()
        self._behind.clear()
        self.scheduler.clear()

    def _admit(self, chunk: Chunk) -> None:
        self.steering.admit(chunk)

    def _end_turn(self) -> None:
        """Tasks were started: let out what that brought."""
        if self.attempts.writable.is_set():
            self.outbox.end_turn()
        self.runner.flush()


def _of_run(run: Run) -> dict[str, Any]:
    """What an event says of the call that an attempt was made on, and of what it was made with."""
    return {"op_name": op_name(run.call_row["call"]), "lineage": run.lineage()}


scoring = Scoring()
