"""Which task is next: scorers take turns, and so do the requests of each, so no huge request or slow scorer blocks.

If all request × scorer lanes shared one rotation, a scorer with two slots would wait for a full rotation after every
two tasks. A lane holds handles of chunks, and reads their calls from tables/chunks when it is their turn.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from app import ids
from app.events import ScoreRequested, Target
from app.scorers import ScorerKey
from tables import chunks, progress, tasks
from tables.tasks import Task, unpark

_CHUNKS_AT_ONCE = 16  # that a lane looks through in one turn for tasks that are still queued


class Chunk:
    """A chunk of a request, until it is settled: each of its tasks is terminal or parked."""

    __slots__ = ("calls", "number", "partition", "project_id", "request_id", "scorer_refs", "unsettled", "when_settled")

    def __init__(self, partition: int, event: ScoreRequested) -> None:
        self.partition = partition
        self.project_id = event.project_id
        self.request_id = event.request_id
        self.number = event.chunk
        self.scorer_refs = tuple(event.scorer_refs)
        self.calls = len(event.call_ids)
        # By scorer: how many tasks are neither terminal nor parked; None until `look` has counted them.
        self.unsettled: list[int | None] = [None] * len(event.scorer_refs)
        self.when_settled: list[Callable[[], None]] = []

    def look(self, scorer: int) -> progress.Row:
        """Read the progress with one scorer, and count what is unsettled."""
        row = progress.load(self.partition, self.request_id, self.number, scorer)
        self.unsettled[scorer] = row.queued(self.calls)
        self._check()
        return row

    def look_again(self) -> None:
        """Count anew for each scorer, after progress has changed other than by `settle`."""
        for scorer in range(len(self.scorer_refs)):
            self.unsettled[scorer] = None
        for scorer in range(len(self.scorer_refs)):
            self.look(scorer)

    def settle(self, scorer: int, number: int) -> None:
        """A number of tasks became terminal or parked."""
        unsettled = self.unsettled[scorer]
        if unsettled is not None:  # else `look` will count
            self.unsettled[scorer] = unsettled - number
            self._check()

    @property
    def settled(self) -> bool:
        return not any(unsettled is None or unsettled > 0 for unsettled in self.unsettled)

    def _check(self) -> None:
        if self.settled:
            when_settled, self.when_settled = self.when_settled, []
            for callback in when_settled:
                callback()


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


def tasks_of(chunk: Chunk, scorer: int) -> Iterator[Task]:
    """The tasks of one chunk with one scorer that are still queued."""
    states = chunk.look(scorer)
    if chunk.unsettled[scorer] == 0:
        return
    row = chunks.load(chunk.partition, chunk.request_id, chunk.number)
    assert row is not None, "a chunk's row is put before its lane"
    ref = chunk.scorer_refs[scorer]
    for index, call_id in enumerate(row.call_ids):
        if states.get(index) == progress.State.QUEUED:
            key = ids.task_key(row.project_id, call_id, ref, row.occasion)
            target = Target(chunk.request_id, chunk.number, scorer, index, states.opened(index))
            yield Task(
                chunk.partition,
                key,
                row.project_id,
                call_id,
                ref,
                row.occasion,
                [target],
                requested_at=row.requested_at,
            )


def queued_in(chunk: Chunk, sought: Iterable[Task]) -> Iterator[tuple[Task, Target]]:
    """Those of the tasks sought, of its partition and project, that are queued in a chunk, and where."""
    here = {
        (task.call_id, task.scorer_ref, task.occasion): task for task in sought if task.scorer_ref in chunk.scorer_refs
    }
    row = chunks.load(chunk.partition, chunk.request_id, chunk.number) if here else None
    if row is None:
        return
    call_ids = {call_id for call_id, _, _ in here}
    calls = [call for call, call_id in enumerate(row.call_ids) if call_id in call_ids]
    for scorer, ref in enumerate(chunk.scorer_refs if calls else ()):
        states = progress.load(chunk.partition, chunk.request_id, chunk.number, scorer)
        for call in calls:
            task = here.get((row.call_ids[call], ref, row.occasion))
            if task is not None and states.get(call) is progress.State.QUEUED:
                yield task, Target(chunk.request_id, chunk.number, scorer, call, states.opened(call))


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
LaneKey = tuple[str, bool]  # request id, whether it has the parked tasks


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

    def _get(self, where: LaneKey) -> Lane | None:
        return self._new.get(where) or self._old.get(where)

    def of_request(self, request_id: str) -> RequestLane:
        """The lane of a request, made if there is none."""
        where = (request_id, False)
        lane = self._get(where)
        if lane is None:
            lane = self._new[where] = RequestLane()
        assert isinstance(lane, RequestLane)
        return lane

    def of_parked(self, request_id: str) -> ParkedLane:
        """The lane of a request's parked tasks, made if there is none."""
        where = (request_id, True)
        lane = self._get(where)
        if lane is None:
            lane = self._new[where] = ParkedLane()
        assert isinstance(lane, ParkedLane)
        return lane

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
            lane = lanes.get((request_id, False))
            if isinstance(lane, RequestLane):
                lane.drop(partition)
                if lane.empty:
                    del lanes[request_id, False]


class Lanes:
    """All lanes of a worker."""

    def __init__(self) -> None:
        self._turn: deque[ScorerKey] = deque()
        self._of_scorer: dict[ScorerKey, ScorerLanes] = {}

    def add_chunk(self, chunk: Chunk) -> None:
        for scorer, ref in enumerate(chunk.scorer_refs):
            if chunk.unsettled[scorer] != 0:
                self._of((chunk.project_id, ref)).of_request(chunk.request_id).add(chunk, scorer)

    def add_parked(self, partition: int, key: bytes, targets: Sequence[Target]) -> None:
        """Add a parked task to the lane of the first of its targets, as a task of several requests has one turn."""
        project_id, _, scorer_ref, _ = ids.split_key(key)
        request_id = targets[0].request_id if targets else ""
        self._of((project_id, scorer_ref)).of_parked(request_id).add(partition, key)

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
            self._of((task.project_id, task.scorer_ref)).of_request(task.targets[0].request_id).put_back(task)

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
