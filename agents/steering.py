"""How an accepted request is cancelled or retried, in one partition.

A cancel at once stops the tasks in this worker's memory. All else is done by events, one for each chunk × scorer, which
`agents.recorder` applies in the order of the log. Only tasks that are parked or in flight are withdrawn from singly.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from typing import Any
from weakref import WeakValueDictionary

from agents.attempts import Attempts
from agents.background import Background, Owed
from agents.chunk import Chunk
from agents.outbox import Outbox
from agents.outcomes import Outcomes
from agents.parking import Parking
from agents.scheduler import Scheduler
from app import events, ids, topics
from app.events import Control, RequestCancelled, Target
from app.positions import positions
from app.slices import Turns
from tables import chunks, controls, controls_in_progress, in_flight, progress, scores, tasks
from tables.in_flight import Entry
from tables.progress import State

_EVENTS = 256  # that share a record, and that are on their way to the recorder at a time
_CONTROLS = 16  # of a request that are kept while they are applied to its chunks, which mostly lack the same

_Early = tuple[str, int, Callable[[], None]]  # of a control: its request, its number, and what to call when it is done


class Steering:
    """Carries out the controls of requests on the partitions of this worker."""

    def __init__(
        self,
        scheduler: Scheduler,
        parking: Parking,
        outbox: Outbox,
        attempts: Attempts,
        outcomes: Outcomes,
    ) -> None:
        self._scheduler = scheduler
        self._parking = parking
        self._outbox = outbox
        self._attempts = attempts
        self._outcomes = outcomes
        self._early: defaultdict[int, list[_Early]] = defaultdict(list)  # by partition, until it is open
        self._stopped: set[tuple[int, str]] = set()  # cancelled requests for which tasks may still be parked
        self._orders: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()
        self._background = Background("a request cannot be steered")

    def obey(self, partition: int, request_id: str, number: int, done: Callable[[], None]) -> None:
        """Carry out a control that is in tables/controls; `done` is called when nothing is owed any more."""
        row = controls.load(partition, request_id)
        assert row is not None
        if row.cancelled and number == row.number:
            self._stop_request(partition, request_id)
        if self._scheduler.is_open(partition):
            changed = controls_in_progress.begin(partition, request_id)
            work = self._background.spawn(self._carry_out(partition, request_id, number, changed, done))
            work.add_done_callback(lambda _: changed())  # also if it is cancelled
        else:
            self._early[partition].append((request_id, number, done))

    def open(self, partition: int) -> None:
        """Carry out the controls that came before the partition was open."""
        for control in self._early.pop(partition, ()):
            self.obey(partition, *control)

    def admit(self, chunk: Chunk) -> None:
        """A chunk of a request that was cancelled or retried: score it once its progress is up to date."""
        self._background.spawn(self._admit(chunk))

    def not_stopped(self, partition: int, targets: list[Target]) -> list[Target]:
        """Those of a task's targets whose request is not being cancelled here."""
        if not self._stopped:
            return targets
        return [target for target in targets if (partition, target.request_id) not in self._stopped]

    def clear(self) -> None:
        """Partitions were assigned anew: the log delivers again what is owed."""
        self._background.cancel()
        self._early.clear()
        self._stopped.clear()
        self._orders.clear()

    # --- at once ---

    def _stop_request(self, partition: int, request_id: str) -> None:
        """Start no more tasks of a request, and cancel those that run for no other."""
        self._stopped.add((partition, request_id))
        self._scheduler.drop(partition, request_id)
        withdrawn = []
        for entry in in_flight.entries():
            if entry.task.partition == partition:
                entry.later = [task for task in entry.later if task.parked or not _is_for(task.targets, request_id)]
                withdrawn.append((entry, [target for target in entry.task.targets if target.request_id == request_id]))
        self._withdraw_from_running(withdrawn)

    def _withdraw_from_running(self, withdrawn: Iterable[tuple[Entry, list[Target]]]) -> None:
        """Withdraw targets from running tasks, and cancel those that no other request wants."""
        left = []
        for entry, targets in withdrawn:
            if entry.running and targets:
                entry.task.targets = [target for target in entry.task.targets if target not in targets]
                entry.withdrawn.extend(targets)
                if not entry.task.targets:
                    left.append(entry)
        for task, target in self._scheduler.queued([entry.task for entry in left], self._stopped):
            # One is enough: the requests join by themselves, each when its lane is reached.
            if not task.targets:
                task.targets = self.not_stopped(task.partition, [target])
        for entry in left:
            if not entry.task.targets:
                self._attempts.cancel(entry.task.key)
                self._outcomes.cancelled(entry)

    # --- by events ---

    def _order(self, partition: int, request_id: str) -> asyncio.Lock:
        """Makes the controls of a request be carried out one after the other."""
        return self._orders.setdefault((partition, request_id), asyncio.Lock())

    async def _carry_out(
        self, partition: int, request_id: str, number: int, changed: Callable[[], None], done: Callable[[], None]
    ) -> None:
        async with self._order(partition, request_id):
            await self._bring_up_to_date(partition, request_id, chunks.of_request(partition, request_id))
            changed()
            await self._withdraw_request(partition, request_id)
            if number == controls.last(partition, request_id) or not controls.is_cancelled(partition, request_id):
                self._stopped.discard((partition, request_id))  # else another cancel has come meanwhile
        owed = Owed(done)
        all_named = owed.one()
        for row in chunks.of_request(partition, request_id):
            chunk = Chunk(partition, row)
            chunk.when_settled.append(owed.one())
            self._scheduler.work_on(chunk)
            await asyncio.sleep(0)
        all_named()

    async def _admit(self, chunk: Chunk) -> None:
        async with self._order(chunk.partition, chunk.request_id):
            row = chunks.load(chunk.partition, chunk.request_id, chunk.number)
            assert row is not None, "a chunk's row is put before it is added"
            await self._bring_up_to_date(chunk.partition, chunk.request_id, iter([row]))
        self._scheduler.work_on(chunk)

    async def _bring_up_to_date(self, partition: int, request_id: str, rows: Iterator[chunks.Row]) -> None:
        """Send what the controls of a request change in the progress of these chunks, and wait until it is applied."""
        newest = controls.last(partition, request_id)
        control = lru_cache(_CONTROLS)(partial(controls.get, partition, request_id))
        batch: list[bytes] = []
        sent = None
        turns = Turns()
        for row in rows:
            for scorer in range(len(row.scorer_refs)):
                known = progress.load(partition, request_id, row.chunk, scorer)
                for number in range(known.control + 1, newest + 1):
                    event = await _applied_to(partition, row, scorer, known, number, control(number), turns)
                    batch.append(event.encode())
                    if len(batch) >= _EVENTS:
                        sent, batch = self._send(partition, batch), []
                    await turns.breathe()
            await turns.breathe()
        if batch:
            sent = self._send(partition, batch)
        if sent is not None:
            await positions.reached(topics.score_events.name, partition, (await sent).offset)

    def _send(self, partition: int, encoded: list[bytes]) -> "asyncio.Future[Any]":
        self._outbox.flush()
        return topics.score_events.send(None, events.ScoreEvents.join(encoded), partition)

    async def _withdraw_request(self, partition: int, request_id: str) -> None:
        """Withdraw a request from the tasks that it no longer wants, and that are parked or about to be."""
        on_their_way = any(
            entry.task.partition == partition and _is_for([*entry.task.targets, *entry.withdrawn], request_id)
            for entry in in_flight.entries()
        )
        if not on_their_way and not self._parking.any(partition):
            return
        number = 0
        last: Entry | None = None
        turns = Turns()
        for row in chunks.of_request(partition, request_id):
            for scorer, ref in enumerate(row.scorer_refs):
                known = progress.load(partition, request_id, row.chunk, scorer)
                for call, call_id in enumerate(row.call_ids):
                    if known.get(call) is State.QUEUED and known.opened(call) == 0:
                        continue  # never taken up
                    key = ids.task_key(row.project_id, call_id, ref, row.occasion)
                    entry = await self._withdraw_from_task(partition, key, request_id)
                    if entry is not None:
                        last, number = entry, number + 1
                        if number % _EVENTS == 0:
                            await entry.until_applied()
                    await turns.breathe()
                await turns.breathe()
        if last is not None:
            await last.until_applied()  # and so all before it, as events of a partition are applied in order

    async def _withdraw_from_task(self, partition: int, key: bytes, request_id: str) -> Entry | None:
        """Withdraw a request from one task; returns its entry if an event for that is on its way."""
        while (entry := in_flight.get(key)) is not None and not entry.running:
            await entry.until_applied()
        if entry is not None:
            self._withdraw_from_running([(entry, _unwanted(partition, request_id, entry.task.targets))])
            return None if entry.running else entry
        row = tasks.load(partition, key)
        unwanted = [] if row is None else _unwanted(partition, request_id, row.targets)
        if row is None or not unwanted:
            return None
        return self._outcomes.withdraw_from_parked(partition, key, row, unwanted)


def _is_for(targets: list[Target], request_id: str) -> bool:
    return any(target.request_id == request_id for target in targets)


def _unwanted(partition: int, request_id: str, targets: list[Target]) -> list[Target]:
    """Those targets that the request has cancelled, or had before it was retried."""
    return [
        target for target in targets if target.request_id == request_id and not progress.is_wanted(partition, target)
    ]


async def _applied_to(
    partition: int, chunk: chunks.Row, scorer: int, known: progress.Row, number: int, control: Control, turns: Turns
) -> events.TasksCancelled | events.TasksReopened:
    """The event for what a control changes in one chunk × scorer."""
    where: dict[str, Any] = {"request_id": chunk.request_id, "chunk": chunk.chunk, "scorer": scorer, "control": number}
    if isinstance(control, RequestCancelled):
        return events.TasksCancelled(**where, calls=len(chunk.call_ids), at=control.asked_at)
    meant = control.scorer_refs is None or chunk.scorer_refs[scorer] in control.scorer_refs
    calls = None
    if meant and control.error_types is not None:
        calls = []
        types = frozenset(control.error_types)
        for call in range(len(chunk.call_ids)):
            if known.get(call) is State.FAILED:
                if _error_type(partition, chunk, scorer, call) in types:
                    calls.append(call)
                await turns.breathe()
    return events.TasksReopened(**where, statuses=control.statuses if meant else [], calls=calls, at=control.asked_at)


def _error_type(partition: int, chunk: chunks.Row, scorer: int, call: int) -> str | None:
    """Why the task failed last."""
    ref = chunk.scorer_refs[scorer]
    score = scores.load(partition, ids.task_key(chunk.project_id, chunk.call_ids[call], ref, chunk.occasion))
    outcomes = [] if score is None else reversed(scores.ends(score))
    return next((str(ended["error"]["type"]) for ended in outcomes if "error" in ended), None)
