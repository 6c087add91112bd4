"""Folds records of `score-events` into scores, history, tasks, progress, spending, judgements and provider_requests.

Each row has the offset of the last record that changed it. A record that is delivered again puts all its rows again and
changes none, whichever of them had reached the store or the changelog before.
"""

from collections import Counter
from collections.abc import Iterable

from app import ids
from app.events import (
    AttemptFailed,
    OfTask,
    ProviderAsked,
    ScoreCancelled,
    ScoreEvent,
    ScoreSucceeded,
    TaskJoined,
    TaskParked,
    TasksCancelled,
    TasksReopened,
    TasksReused,
    TaskWithdrawn,
)
from app.usage import Usage, total_usage
from tables import history, judgements, progress, provider_requests, scores, spending, tasks
from tables.at import At
from tables.base import Rows, Table
from tables.progress import State

_STATES = {
    "succeeded": State.SUCCEEDED,
    "failed": State.FAILED,
    "cancelled": State.CANCELLED,
    "waiting_for_call": State.WAITING_FOR_CALL,
    "retrying": State.RETRYING,
}

Where = tuple[str, int, int]  # request id, chunk, scorer


class Changes:
    """The rows that one record touches, each loaded and put once."""

    def __init__(self, at: At) -> None:
        self._at = at
        self._partition = at.partition
        self._offset = at.offset
        self._scores: dict[bytes, scores.Row] = {}
        self._progress: dict[Where, progress.Row] = {}
        self._history: list[tuple[bytes, history.Row]] = []
        self._judgements: dict[bytes, judgements.Row] = {}
        self._provider_requests: dict[bytes, provider_requests.Row | None] = {}  # as loaded; None after an outcome
        self._new_requests: Counter[bytes] = Counter()  # since then
        self._spending: dict[bytes, spending.Row] = {}
        self.tasks: dict[bytes, tasks.Row | None] = {}  # by task key; None what is no longer parked
        self.was_parked: dict[bytes, bool] = {}
        self.settled: Counter[Where] = Counter()  # how many tasks became terminal or parked
        self.spent: list[tuple[str, str, Usage]] = []  # (project id, scorer ref, what an attempt took)
        self.happened: list[tuple[bytes, float]] = []  # (task key, time) of each event

    def apply(self, events: Iterable[ScoreEvent]) -> None:
        """Apply the events of the record, in order."""
        for event in events:
            if isinstance(event, TasksReused):
                self._reuse(event)
            elif isinstance(event, TasksCancelled):
                self._cancel(event)
            elif isinstance(event, TasksReopened):
                self._reopen(event)
            elif isinstance(event, TaskWithdrawn):
                self._withdraw(event)
            elif isinstance(event, ProviderAsked):
                self._ask(event)
            else:
                self._advance(event)

    def _advance(self, event: OfTask) -> None:
        """A task was parked, joined or failed an attempt, or it ended."""
        key = _key_of(event)
        self.happened.append((key, event.at))
        ended = self._ended(key, event)
        if ended is None or ended["offset"] != self._offset:
            self._add_history(key, event)
        if isinstance(event, scores.Terminal) and event.parked:
            self._unpark(key, event.round)
        if ended is not None:
            state: str = ended["status"]
        else:
            assert isinstance(event, TaskParked | TaskJoined | AttemptFailed)
            task = self._park(key, event)
            if task is None:
                return
            state = task.status
        self._add_spending(key, event)
        self._keep_judgement(event)
        for target in event.targets:
            row = self._of(target[:3])
            if event.spent is not None and row.offset < self._offset:
                row.spent = total_usage(row.spent, event.spent)
            # Tasks of a cancelled request are marked by `_cancel`, all with the time of that request's cancel.
            stopped = state == "cancelled" and isinstance(event, ScoreCancelled)
            if row.opened(target.call) == target.opened and not stopped:
                self._mark(row, target[:3], [target.call], _STATES[state], event.at)

    def _reuse(self, event: TasksReused) -> None:
        where = (event.request_id, event.chunk, event.scorer)
        self._mark(self._of(where), where, event.calls, State.REUSED, event.at)

    def _cancel(self, event: TasksCancelled) -> None:
        where = (event.request_id, event.chunk, event.scorer)
        row = self._of(where)
        if row.offset < self._offset:
            self.settled[where] += row.cancel(event.calls, event.control, event.at)

    def _reopen(self, event: TasksReopened) -> None:
        row = self._of((event.request_id, event.chunk, event.scorer))
        if row.offset < self._offset:
            row.reopen(event.calls, [_STATES[status] for status in event.statuses], event.control)

    def _withdraw(self, event: TaskWithdrawn) -> None:
        key = _key_of(event)
        self.happened.append((key, event.at))
        self._add_history(key, event)
        row = self._task(key)
        if row is not None:
            self.tasks[key] = tasks.withdraw(row, event, self._offset)

    def _ask(self, event: ProviderAsked) -> None:
        key = _key_of(event)
        if key not in self._provider_requests:
            self._provider_requests[key] = provider_requests.load(self._partition, key)
        self._new_requests[key] += 1

    def encode(self) -> list[tuple[Table, Rows]]:
        """The rows to write. Raises JSONEncodeError for an output that no row can hold."""
        requests = {key: self._provider_requests_after(key) for key in self._provider_requests}
        return [
            (scores.table, scores.encode_all(self._scores)),
            (history.table, history.encode_all(self._history, self._offset)),
            (progress.table, progress.encode_all(self._progress, self._offset)),
            (spending.table, spending.encode_all(self._spending, self._offset)),
            (judgements.table, judgements.encode_new(self._judgements, self._partition)),
            (provider_requests.table, provider_requests.encode_all(requests)),
            (tasks.table, tasks.encode_all(self.tasks)),
        ]

    def _provider_requests_after(self, key: bytes) -> provider_requests.Row | None:
        row, new = self._provider_requests[key], self._new_requests[key]
        return provider_requests.fold(row, new, self._offset) if new else row

    def _add_history(self, key: bytes, event: OfTask) -> None:
        self._history.append((key, history.row_of(event, self._at.logged_at)))

    def _ended(self, key: bytes, event: OfTask) -> scores.Row | None:
        """How the event's round had ended by then, None if it had not.

        When the log delivers the event again, the score may have an outcome of a later offset.
        """
        score = self._score(key)
        if isinstance(event, scores.Terminal):
            score = self._scores[key] = scores.fold(score, event, self._offset, self._at.logged_at)
            return scores.outcome_of(score, event.round)
        if score is None or score["round"] < event.round:
            return None
        ended = scores.outcome_of(score, event.round)
        return ended if ended["offset"] <= self._offset else None

    def _score(self, key: bytes) -> scores.Row | None:
        if key not in self._scores:
            row = scores.load(self._partition, key)
            if row is None:
                return None
            self._scores[key] = row
        return self._scores[key]

    def _task(self, key: bytes) -> tasks.Row | None:
        if key not in self.tasks:
            self.tasks[key] = tasks.load(self._partition, key)
            self.was_parked[key] = self.tasks[key] is not None
        return self.tasks[key]

    def _park(self, key: bytes, event: TaskParked | TaskJoined | AttemptFailed) -> tasks.Row | None:
        row = self._task(key)
        if not isinstance(event, TaskJoined):
            row = tasks.park(row, event, self._offset)
        elif row is not None:
            row = tasks.join(row, event, self._offset)
        else:
            # A `TaskJoined`, delivered again after the task's end took its row away; that event has these targets too.
            return None
        self.tasks[key] = row
        return row

    def _unpark(self, key: bytes, round_number: int) -> None:
        row = self._task(key)
        if row is None or row.round <= round_number:
            self.tasks[key] = None

    def _of(self, where: Where) -> progress.Row:
        row = self._progress.get(where)
        if row is None:
            row = self._progress[where] = progress.load(self._partition, *where)
        return row

    def _keep_judgement(self, event: OfTask) -> None:
        """Keep a judgement that may be reused, unless it was reused itself."""
        if not isinstance(event, ScoreSucceeded) or "question" not in event.lineage or "judged_for" in event.lineage:
            return
        question = event.lineage["question"]
        if ids.is_digest(question):  # in the log of an earlier version, a scorer may have reported anything as question
            key = judgements.key(event.project_id, question)
            self._judgements.setdefault(
                key,
                {
                    "offset": self._offset,
                    "output": event.output,
                    "call_id": event.call_id,
                    "scorer_ref": event.scorer_ref,
                },
            )

    def _add_spending(self, key: bytes, event: OfTask) -> None:
        if event.day is None:
            return
        self._provider_requests[key], self._new_requests[key] = None, 0
        if event.spent is None:
            return
        counted = True  # before
        for where in spending.keys(event.project_id, event.scorer_ref, event.day):
            row = self._spending.get(where)
            if row is None:
                row = self._spending[where] = spending.load(self._partition, where)
            if row.offset < self._offset:
                row.spent += event.spent
                counted = False
        if not counted:
            self.spent.append((event.project_id, event.scorer_ref, event.spent))

    def _mark(self, row: progress.Row, where: Where, calls_: list[int], state: State, at: float) -> None:
        if row.offset < self._offset:
            self.settled[where] += row.set(calls_, state, at)


def _key_of(event: OfTask) -> bytes:
    return ids.task_key(event.project_id, event.call_id, event.scorer_ref, event.occasion)
