"""Applies what became of tasks to tables/scores, tables/tasks and tables/progress. No one else writes them.

Each row remembers the offset of the last record that it took in. A record that is delivered again puts all its rows
again and changes none, whichever of them had reached the store or the changelog before.
"""

from collections import Counter
from typing import Any

from agents.scoring import scoring
from agents.stream import Record, consume
from app import ids, topics
from app.events import (
    AttemptFailed,
    OfTask,
    ScoreEvents,
    TaskJoined,
    TaskParked,
    TasksCancelled,
    TasksReopened,
    TasksReused,
    TaskWithdrawn,
)
from app.faust_app import app
from tables import progress, scores, tasks
from tables.progress import State

_STATES = {
    "succeeded": State.SUCCEEDED,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
    "waiting_for_call": State.WAITING_FOR_CALL,
    "retrying": State.RETRYING,
}

Where = tuple[str, int, int]  # request id, chunk, scorer


@app.agent(topics.score_events.channel(), name="recorder")
async def recorder(stream: Any) -> None:
    await consume(stream, ScoreEvents.model_validate_json, handle)


def handle(record: Record, batch: ScoreEvents) -> None:
    changes = Changes(record.partition, record.offset)
    for event in batch.events:
        if isinstance(event, TasksReused):
            changes.reuse(event)
        elif isinstance(event, TasksCancelled):
            changes.cancel(event)
        elif isinstance(event, TasksReopened):
            changes.reopen(event)
        elif isinstance(event, TaskWithdrawn):
            changes.withdraw(event)
        else:
            changes.apply(event)
    changes.save()
    changes.tell()


class Changes:
    """The rows that one record touches, each loaded and put once."""

    def __init__(self, partition: int, offset: int) -> None:
        self._partition = partition
        self._offset = offset
        self._scores: dict[bytes, scores.Row] = {}
        self._tasks: dict[bytes, tasks.Row | None] = {}
        self._was_parked: dict[bytes, bool] = {}
        self._progress: dict[Where, progress.Row] = {}
        self._settled: Counter[Where] = Counter()
        self._keys: list[bytes] = []

    def apply(self, event: OfTask) -> None:
        key = ids.task_key(event.project_id, event.call_id, event.scorer_ref, event.occasion)
        self._keys.append(key)
        score = self._score(key)
        if isinstance(event, scores.Terminal):
            score = self._scores[key] = scores.fold(score, event, self._offset)
            if event.parked:
                self._unpark(key, event.round)
        if score is not None and score.round >= event.round:
            state: str = score.status_of(event.round)
        else:
            assert isinstance(event, TaskParked | TaskJoined | AttemptFailed)
            task = self._park(key, event)
            if task is None:
                return
            state = task.status
        for target in event.targets:
            if (row := self._of(target[:3])).opened(target.call) == target.opened:
                self._mark(row, target[:3], [target.call], _STATES[state], event.at)

    def reuse(self, event: TasksReused) -> None:
        where = (event.request_id, event.chunk, event.scorer)
        self._mark(self._of(where), where, event.calls, State.REUSED, event.at)

    def cancel(self, event: TasksCancelled) -> None:
        where = (event.request_id, event.chunk, event.scorer)
        row = self._of(where)
        if row.offset < self._offset:
            self._settled[where] += row.cancel(event.calls, event.control, event.at)

    def reopen(self, event: TasksReopened) -> None:
        row = self._of((event.request_id, event.chunk, event.scorer))
        if row.offset < self._offset:
            row.reopen(event.calls, [_STATES[status] for status in event.statuses], event.control)

    def withdraw(self, event: TaskWithdrawn) -> None:
        key = ids.task_key(event.project_id, event.call_id, event.scorer_ref, event.occasion)
        self._keys.append(key)
        row = self._task(key)
        if row is not None:
            self._tasks[key] = tasks.withdraw(row, event, self._offset)

    def save(self) -> None:
        for key, score in self._scores.items():
            scores.save(self._partition, key, score)
        for where, row in self._progress.items():
            row.offset = max(row.offset, self._offset)
            progress.save(self._partition, *where, row)
        for key, task in self._tasks.items():
            if task is None:
                tasks.delete(self._partition, key)
            else:
                tasks.save(self._partition, key, task)

    def tell(self) -> None:
        """Let scoring know: what is no longer in flight, what is parked, what is settled."""
        for where, number in self._settled.items():
            scoring.settled(*where, number)
        for key, task in self._tasks.items():
            if task is None:
                scoring.parking.removed(self._partition, self._was_parked[key])
            else:
                scoring.parking.parked(self._partition, key, task, not self._was_parked[key])
        for key in self._keys:
            scoring.applied(key)

    def _score(self, key: bytes) -> scores.Row | None:
        if key not in self._scores:
            row = scores.load(self._partition, key)
            if row is None:
                return None
            self._scores[key] = row
        return self._scores[key]

    def _task(self, key: bytes) -> tasks.Row | None:
        if key not in self._tasks:
            self._tasks[key] = tasks.load(self._partition, key)
            self._was_parked[key] = self._tasks[key] is not None
        return self._tasks[key]

    def _park(self, key: bytes, event: TaskParked | TaskJoined | AttemptFailed) -> tasks.Row | None:
        row = self._task(key)
        if not isinstance(event, TaskJoined):
            row = tasks.park(row, event, self._offset)
        elif row is not None:
            row = tasks.join(row, event, self._offset)
        else:
            # Delivered again after the task's end took its row away; that event has these targets too.
            return None
        self._tasks[key] = row
        return row

    def _unpark(self, key: bytes, round_number: int) -> None:
        row = self._task(key)
        if row is None or row.round <= round_number:
            self._tasks[key] = None

    def _of(self, where: Where) -> progress.Row:
        row = self._progress.get(where)
        if row is None:
            row = self._progress[where] = progress.load(self._partition, *where)
        return row

    def _mark(self, row: progress.Row, where: Where, calls_: list[int], state: State, at: float) -> None:
        if row.offset < self._offset:
            self._settled[where] += row.set(calls_, state, at)
