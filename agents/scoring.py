"""How a task lives and dies.

1. `start` gets it from its lane. If it has succeeded before, its score is reused; if it is running or parked, it joins
   that; if its call or its scorer's code is missing, it is parked.
2. Otherwise its scorer runs (`agents.attempts`).
3. What has become of it is sent as an event (`agents.outcomes`): it succeeded, failed, or waits for its next attempt.
4. `agents.recorder` applies the event to the tables, and calls `applied`. Until then the task stays in flight, so that
   no task runs whose outcome is in the log.
"""

import asyncio
import time

from agents.attempt import made_of, op_name
from agents.attempts import Attempts
from agents.catalog import Catalog, load_registry
from agents.outbox import Outbox
from agents.outcomes import Outcomes
from agents.parking import Parking
from agents.room import Room
from agents.scheduler import Scheduler
from agents.steering import Steering
from app import cluster, ids
from app.faust_app import app
from app.scorers import Runner
from app.settings import get_settings
from tables import calls, in_flight, progress, scores, tasks
from tables.in_flight import Entry
from tables.tasks import Task, unpark

MOST_TARGETS = 1_000  # of one task: they all have to fit into one event


class Scoring:
    """The tasks of one worker, from their start until their outcome is in the tables."""

    def __init__(self) -> None:
        self.settings = get_settings()
        self.registry = load_registry()
        self.catalog = Catalog(self.registry)
        self.runner = Runner()
        self.outbox = Outbox()
        self._wake = asyncio.Event()
        self.room = Room(self.settings, self.catalog, self.runner, self._wake.set)
        self.outcomes = Outcomes(self.outbox, self.settings.call_wait, self.room.budgets.day)
        self.attempts = Attempts(self.runner, self.outbox, self.outcomes.ended)
        self.scheduler = Scheduler(
            self._wake, self.room.of, self.start, lambda chunk: self.steering.admit(chunk), self._end_turn
        )
        self.parking = Parking(self.scheduler.resume)
        self.steering = Steering(self.scheduler, self.parking, self.outbox, self.attempts, self.outcomes)
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
        if row.status == "retrying" and row.due > time.time():
            # The clock was set back; or a request joined the task while it waited in its lane, so that it was resumed
            # twice, and its attempt has failed since.
            self.parking.resume_at(row.due, task.partition, task.key)
            return
        task = unpark(task.partition, task.key, row)
        ended = scores.ended(task.partition, task.key)
        if ended is not None and ended.round >= row.round:
            # A worker that had lost the partition parked the task while the new owner ran it: only remove the row.
            self.outcomes.only_remove(task)
        elif self.steering.not_stopped(task.partition, task.targets):
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
            self.outcomes.join(task, ended.round, ended.attempts)
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
            self.outcomes.join(task, row.round, row.attempts)

    def _run(self, task: Task) -> None:
        """Start an attempt, unless the scorer has no room, or something that it needs is missing."""
        bound = self.catalog.get(task.project_id, task.scorer_ref)
        gate = None if bound is None else self.room.gate(task.project_id, bound)
        if bound is not None and gate is None:
            self.scheduler.put_back(task)
            return
        entry = in_flight.enter(task)
        row, size = calls.find_sized(task.partition, ids.call_key(task.project_id, task.call_id))
        in_flight.hold(entry, size)
        if row is None:
            self.outcomes.park(entry, "waiting_for_call", f"call {task.call_id} did not arrive")
        elif bound is None:
            message = f"no worker has the code of {task.scorer_ref}"
            self.outcomes.park(entry, "scorer_version_unavailable", message, row, self.outcomes.cut_off(task))
        elif (error := calls.without_output(row["call"])) is not None:
            self.outcomes.fail(entry, error, op_name=op_name(row["call"]), lineage=made_of(bound, row))
        else:
            assert gate is not None, "it was checked above"
            task.attempts += 1
            permit = gate.enter(size, task.attempts - task.excused)
            self.attempts.start(entry, bound, row, permit)

    # --- its event is applied ---

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
        await app.producer.flush()  # so that the log holds the events of the tasks that `recovered` has forgotten
        if app.rebalancing_count != assignment:  # else `catch_up` would take a later assignment for this one
            return
        if not await cluster.catch_up(partition) or not self.attempts.writable.is_set():
            return
        self.scheduler.open(partition)
        await self.parking.load(partition)
        self.steering.open(partition)
        self.scheduler.add_early(partition)

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

    def recovered(self, owned: set[int]) -> None:
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
        self.steering.clear()
        self.parking.clear()
        self._overflow.clear()
        self.scheduler.clear()

    # --- for the scheduler ---

    def _end_turn(self) -> None:
        """Tasks were started: send their events and runs now."""
        if self.attempts.writable.is_set():
            self.outbox.end_turn()
        self.runner.flush()


scoring = Scoring()
