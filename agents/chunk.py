"""A chunk of a request, and which of its tasks are still queued."""

from collections.abc import Callable, Iterable, Iterator

from app import ids
from app.events import ScoreRequested, Target
from tables import chunks, progress
from tables.tasks import Task


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
