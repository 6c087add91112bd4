"""Which task is next: scorers take turns, and so do the requests of each, so no huge request or slow scorer blocks.

If all request × scorer lanes shared one rotation, a scorer with two slots would wait for a full rotation after every
two tasks. A lane holds handles of chunks, and reads their calls from tables/chunks when it is their turn.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from agents.chunk import Chunk, tasks_of
from app import ids
from app.events import Target
from app.scorers import ScorerKey
from tables import tasks
from tables.tasks import Task, unpark

_CHUNKS_AT_ONCE = 16  # that a lane looks through in one turn for tasks that are still queued


@dataclass(slots=True)
class RequestLane:
    """The tasks of one request with one scorer, on this worker."""

    _chunks: deque[tuple[Chunk, int]] = field(default_factory=deque)
    _tasks: Iterator[Task] | None = None
    _partition: int = -1  # of `_tasks`
    _returned: deque[Task] = field(default_factory=deque)  # taken before, and put back

    def add(self, chunk: Chunk, scorer: int) -> None:
        self._chunks.append((chunk, scorer))

    def put_back(self, task: Task) -> None:
        self._returned.append(task)

    @property
    def empty(self) -> bool:
        return self._tasks is None and not self._chunks and not self._returned

    def take(self, most: int) -> list[Task]:
        """Up to `most` tasks; perhaps none although the lane is not empty, if its next chunks turn out to be done."""
        taken: list[Task] = []
        looks = _CHUNKS_AT_ONCE
        while len(taken) < most and not self.empty:
            if self._returned:
                taken.append(self._returned.popleft())
                continue
            if self._tasks is None:
                if looks == 0:
                    break
                looks -= 1
                chunk, scorer = self._chunks.popleft()
                self._tasks, self._partition = tasks_of(chunk, scorer), chunk.partition
            task = next(self._tasks, None)
            if task is None:
                self._tasks = None
            else:
                taken.append(task)
        return taken

    def drop(self, partition: int) -> None:
        """Forget the tasks of a partition."""
        self._chunks = deque(item for item in self._chunks if item[0].partition != partition)
        self._returned = deque(task for task in self._returned if task.partition != partition)
        if self._partition == partition:
            self._tasks = None


@dataclass(slots=True)
class ParkedLane:
    """Parked tasks of one request with one scorer that may be resumed."""

    _keys: deque[tuple[int, bytes]] = field(default_factory=deque)

    def add(self, partition: int, key: bytes) -> None:
        self._keys.append((partition, key))

    @property
    def empty(self) -> bool:
        return not self._keys

    def take(self, most: int) -> list[Task]:
        """Up to `most` tasks; those that are no longer parked are skipped."""
        taken: list[Task] = []
        while self._keys and len(taken) < most:
            partition, key = self._keys.popleft()
            row = tasks.load(partition, key)
            if row is not None:
                taken.append(unpark(partition, key, row))
        return taken


Lane = RequestLane | ParkedLane
L = TypeVar("L", RequestLane, ParkedLane)
LaneKey = tuple[str, type[Lane]]  # the request and the kind of lane


class ScorerLanes:
    """The lanes of one scorer: of each request that of its queued tasks, and that of its parked ones.

    Every other turn goes to a lane that had none yet, so ten tasks need not wait for a turn of each huge request: new
    flows first, as in FQ-CoDel (RFC 8290, section 4.2).
    """

    def __init__(self) -> None:
        self._new: OrderedDict[LaneKey, Lane] = OrderedDict()
        self._old: OrderedDict[LaneKey, Lane] = OrderedDict()
        self._new_was_last = False

    @property
    def empty(self) -> bool:
        return not self._new and not self._old

    def lane(self, kind: type[L], request_id: str) -> L:
        """The lane of this kind of a request, made if there is none."""
        where = (request_id, kind)
        found = self._new.get(where) or self._old.get(where)
        if found is None:
            found = self._new[where] = kind()
        return cast(L, found)

    def take(self, most: int) -> list[Task]:
        """Up to `most` tasks of the lane whose turn it is."""
        self._new_was_last = bool(self._new) and not (self._new_was_last and self._old)
        lanes = self._new if self._new_was_last else self._old
        where, lane = lanes.popitem(last=False)
        taken = lane.take(most)
        if not lane.empty:
            self._old[where] = lane
        return taken

    def drop(self, request_id: str, partition: int) -> None:
        """Forget the tasks of a request in a partition."""
        for lanes in (self._new, self._old):
            lane = lanes.get((request_id, RequestLane))
            if isinstance(lane, RequestLane):
                lane.drop(partition)
                if lane.empty:
                    del lanes[request_id, RequestLane]


class Lanes:
    """All lanes of a worker."""

    def __init__(self) -> None:
        self._turn: deque[ScorerKey] = deque()
        self._of_scorer: dict[ScorerKey, ScorerLanes] = {}

    def add_chunk(self, chunk: Chunk) -> None:
        for scorer, ref in enumerate(chunk.scorer_refs):
            if chunk.unsettled[scorer] != 0:
                self._of((chunk.project_id, ref)).lane(RequestLane, chunk.request_id).add(chunk, scorer)

    def add_parked(self, partition: int, key: bytes, targets: Sequence[Target]) -> None:
        """Add a parked task to the lane of the first of its targets, as a task of several requests has one turn."""
        project_id, _, scorer_ref, _ = ids.split_key(key)
        request_id = targets[0].request_id if targets else ""
        self._of((project_id, scorer_ref)).lane(ParkedLane, request_id).add(partition, key)

    def drop(self, request_id: str, partition: int) -> None:
        """Forget the tasks of a request in a partition."""
        for scorer in list(self._turn):
            self._of_scorer[scorer].drop(request_id, partition)
            self._remove_if_empty(scorer)

    def put_back(self, task: Task) -> None:
        """Return a task that was taken and cannot start after all."""
        if task.parked:
            self.add_parked(task.partition, task.key, task.targets)
        else:
            lanes = self._of((task.project_id, task.scorer_ref))
            lanes.lane(RequestLane, task.targets[0].request_id).put_back(task)

    def scorers(self) -> Iterable[ScorerKey]:
        """The scorers that have lanes."""
        return self._of_scorer.keys()

    def take(self, room: Callable[[str, str], int]) -> list[Task] | None:
        """Up to `room(project_id, scorer_ref)` tasks of the next lane; scorers without room are skipped.

        An empty list means to try again, None that no lane has tasks that may start now.
        """
        for _ in range(len(self._turn)):
            scorer = self._turn[0]
            self._turn.rotate(-1)
            most = room(*scorer)
            if most > 0:
                taken = self._of_scorer[scorer].take(most)
                self._remove_if_empty(scorer)
                return taken
        return None

    def _of(self, scorer: ScorerKey) -> ScorerLanes:
        lanes = self._of_scorer.get(scorer)
        if lanes is None:
            lanes = self._of_scorer[scorer] = ScorerLanes()
            self._turn.append(scorer)
        return lanes

    def _remove_if_empty(self, scorer: ScorerKey) -> None:
        if self._of_scorer[scorer].empty:
            del self._of_scorer[scorer]
            self._turn.remove(scorer)
