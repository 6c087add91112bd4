"""Which tasks this worker has to score, and when they start: as long as there is room, lane by lane."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator

from agents.chunk import Chunk, queued_in
from agents.lanes import Lanes
from app.events import Target
from app.slices import pace
from tables import controls, tasks
from tables.tasks import Task


class Scheduler:
    """The chunks of one worker's partitions, and the lanes that their tasks wait in."""

    def __init__(
        self,
        wake: asyncio.Event,
        room: Callable[[str, str], int],
        start: Callable[[Task], None],
        steer: Callable[[Chunk], None],
        end_turn: Callable[[], None],
    ) -> None:
        """`room(project_id, scorer_ref)` is how many tasks of a scorer may start, and `start` starts one.

        `steer` gets the chunks of requests that were cancelled or retried, and calls `work_on` once they are up to
        date. `end_turn` is called after tasks were started, at the end of the turn. `wake` is set when more may start.
        """
        self._wake = wake
        self._room = room
        self._start = start
        self._steer = steer
        self._end_turn = end_turn
        self._lanes = Lanes()
        self._chunks: dict[tuple[str, int], Chunk] = {}
        self._early: defaultdict[int, list[Chunk]] = defaultdict(list)  # by partition, until it is open
        self._open: set[int] = set()
        self._taken: deque[Task] = deque()  # from their lanes, to be started
        self.started = 0  # tasks taken from lanes so far

    # --- partitions ---

    def open(self, partition: int) -> None:
        """Score tasks of a partition from now on; chunks that came before are taken up by `add_early`."""
        self._open.add(partition)

    def is_open(self, partition: int) -> bool:
        """Whether tasks of a partition are scored here."""
        return partition in self._open

    def add_early(self, partition: int) -> None:
        """Add the chunks that came before the partition was open."""
        for chunk in self._early.pop(partition, ()):
            self.add(chunk)

    def clear(self) -> None:
        """Forget everything: the log delivers again what is owed."""
        self._lanes = Lanes()
        self._chunks.clear()
        self._early.clear()
        self._open.clear()
        self._taken.clear()

    # --- work comes in ---

    def add(self, chunk: Chunk) -> None:
        """Add a chunk that was submitted."""
        if chunk.partition not in self._open:
            self._early[chunk.partition].append(chunk)
            return
        chunk = self._registered(chunk)
        if controls.load(chunk.partition, chunk.request_id) is None:
            self._lanes.add_chunk(chunk)
            self._wake.set()
        else:
            self._steer(chunk)

    def work_on(self, chunk: Chunk) -> None:
        """Score what is queued of a chunk by its progress, after its request was cancelled or retried."""
        chunk = self._registered(chunk)
        chunk.look_again()
        if not chunk.settled and not controls.is_cancelled(chunk.partition, chunk.request_id):
            self._lanes.add_chunk(chunk)
            self._wake.set()

    def resume(self, partition: int, key: bytes, row: tasks.Row | None) -> None:
        """Resume a parked task, with its row if that was just read; opening its partition will do so if it is not open.

        It has its turn with the other parked tasks of the request that is the first of its targets.
        """
        if partition in self._open and (row := row or tasks.load(partition, key)) is not None:
            self._lanes.add_parked(partition, key, row.targets)
            self._wake.set()

    def put_back(self, task: Task) -> None:
        """Return a task that was taken and cannot start after all."""
        self._lanes.put_back(task)

    def queued(self, sought: Collection[Task], cancelled: Collection[tuple[int, str]]) -> Iterator[tuple[Task, Target]]:
        """Those of the tasks sought that wait in lanes, and for which targets.

        Requests that are `cancelled` in a partition do not count; they may have most of the chunks, and reading those
        would hold the event loop.
        """
        places = defaultdict(list)
        for task in sought:
            places[task.partition, task.project_id].append(task)
        for chunk in list(self._chunks.values()) if sought else ():
            there = places.get((chunk.partition, chunk.project_id))
            if there is not None and (chunk.partition, chunk.request_id) not in cancelled:
                yield from queued_in(chunk, there)

    def settled(self, request_id: str, chunk_number: int, scorer: int, number: int) -> None:
        """A number of tasks of a chunk became terminal or parked."""
        chunk = self._chunks.get((request_id, chunk_number))
        if chunk is not None:
            chunk.settle(scorer, number)

    def drop(self, partition: int, request_id: str) -> None:
        """Forget the tasks of a request in a partition that have not started."""
        self._lanes.drop(request_id, partition)
        self._taken = deque(
            task
            for task in self._taken
            if task.parked or task.partition != partition or task.targets[0].request_id != request_id
        )

    def _registered(self, chunk: Chunk) -> Chunk:
        """The handle of a chunk: the known one, which takes over the callbacks of this one, if there is one."""
        where = (chunk.request_id, chunk.number)
        known = self._chunks.setdefault(where, chunk)
        if known is chunk:
            chunk.when_settled.append(lambda: self._let_go(where, chunk))
        else:
            known.when_settled.extend(chunk.when_settled)
        return known

    def _let_go(self, where: tuple[str, int], chunk: Chunk) -> None:
        if self._chunks.get(where) is chunk:
            del self._chunks[where]

    # --- tasks are started ---

    async def run(self) -> None:
        """Start tasks while there is room, for ever."""
        while True:
            self._wake.clear()
            if self._turn():
                await asyncio.sleep(0)
            else:
                await self._wake.wait()

    def could_start(self) -> bool:
        """Whether there is room for tasks of any lane."""
        return any(self._room(*scorer) > 0 for scorer in self._lanes.scorers())

    def _turn(self) -> bool:
        """Start tasks for a moment; returns whether there may be more to start."""
        more = True
        until = time.perf_counter() + pace().start
        while more and time.perf_counter() < until:
            more = self._start_some()
        self._end_turn()
        return more

    def _start_some(self) -> bool:
        """Start a task, or take some from the next lane; returns whether there may be more to start."""
        if self._taken:  # kept between turns, so that `drop` and `clear` reach what was taken
            self._start(self._taken.popleft())
        elif (taken := self._lanes.take(self._room)) is not None:
            self.started += len(taken)
            self._taken.extend(taken)
        else:
            return False
        return True
