"""What is to be scored on this worker, and which task is started next: while there is room, lane by lane."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from agents.lanes import Chunk, Lanes, Task
from app.slices import pace
from tables import controls


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
        """`room` says how many tasks of a scorer may start (project id, scorer ref), and `start` deals with one.

        `steer` gets each chunk of a request that has been cancelled or retried, for `work_on` when it is up to date.
        `end_turn` is called when tasks were started, before anything else has its turn. `wake` is set when more might
        be started.
        """
        self._wake = wake
        self._room = room
        self._start = start
        self._steer = steer
        self._end_turn = end_turn
        self._lanes = Lanes()
        self._chunks: dict[tuple[str, int], Chunk] = {}
        self._early: list[Chunk] = []  # chunks of partitions that are not open yet
        self._open: set[int] = set()
        self._taken: deque[Task] = deque()  # from their lane, to be started
        self.started = 0  # tasks taken from lanes so far

    # --- partitions ---

    def open(self, partition: int) -> None:
        """Tasks of the partition are scored here from now on, those that came before once `add_early` is called."""
        self._open.add(partition)

    def is_open(self, partition: int) -> bool:
        """Whether tasks of the partition are scored here."""
        return partition in self._open

    def add_early(self) -> None:
        """Take up the chunks that came before their partition was open."""
        early, self._early = self._early, []
        for chunk in early:
            self.add(chunk)

    def clear(self) -> None:
        """Forget all: the log hands out again what is owed."""
        self._lanes = Lanes()
        self._chunks.clear()
        self._early.clear()
        self._open.clear()
        self._taken.clear()

    # --- work comes in ---

    def add(self, chunk: Chunk) -> None:
        """A chunk of a request, to be worked on from now on."""
        if chunk.partition not in self._open:
            self._early.append(chunk)
            return
        chunk = self._registered(chunk)
        if controls.load(chunk.partition, chunk.request_id) is None:
            self._lanes.add_chunk(chunk)
            self._wake.set()
        else:
            self._steer(chunk)

    def work_on(self, chunk: Chunk) -> None:
        """Work on what its progress says is queued of a chunk, of a request that has been steered."""
        chunk = self._registered(chunk)
        chunk.look_again()
        if not chunk.settled and not controls.is_cancelled(chunk.partition, chunk.request_id):
            self._lanes.add_chunk(chunk)
            self._wake.set()

    def resume(self, partition: int, key: bytes) -> None:
        """A parked task's time has come; before its partition is open, whoever opens it will see to it."""
        if partition in self._open:
            self._lanes.add_parked(partition, key)
            self._wake.set()

    def put_back(self, task: Task) -> None:
        """A task that was taken and cannot start after all."""
        self._lanes.put_back(task)

    def settled(self, request_id: str, chunk_number: int, scorer: int, number: int) -> None:
        """So many tasks of a chunk became terminal or parked."""
        chunk = self._chunks.get((request_id, chunk_number))
        if chunk is not None:
            chunk.settle(scorer, number)

    def drop(self, partition: int, request_id: str) -> None:
        """Forget the tasks of a request that have not been started in a partition."""
        self._lanes.drop(request_id, partition)
        self._taken = deque(
            task
            for task in self._taken
            if task.parked or task.partition != partition or task.targets[0].request_id != request_id
        )

    def _registered(self, chunk: Chunk) -> Chunk:
        """The handle of a chunk: the one that is known, which takes over who waits, or else this one."""
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
        """Whether a lane has tasks that there is room for."""
        return any(self._room(*scorer) > 0 for scorer in self._lanes.scorers())

    def _turn(self) -> bool:
        """Start tasks for a moment, since a call may be large; returns whether there may be more to do."""
        more = True
        until = time.perf_counter() + pace().start
        while more and time.perf_counter() < until:
            more = self._start_some()
        self._end_turn()
        return more

    def _start_some(self) -> bool:
        """Start a task, or take some from the lane whose turn it is; returns whether there may be more to do."""
        if self._taken:  # which loses what is cancelled, or goes to another worker, between two turns
            self._start(self._taken.popleft())
        elif (taken := self._lanes.take(self._room)) is not None:
            self.started += len(taken)
            self._taken.extend(taken)
        else:
            return False
        return True
