"""A record of `score-events` that is delivered again changes no row, whichever of its rows had been stored before."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.events import (
    AttemptFailed,
    Error,
    ProviderAsked,
    ScoreCancelled,
    ScoreEvent,
    ScoreEvents,
    ScoreFailed,
    ScoreSucceeded,
    Target,
    TaskJoined,
    TaskParked,
    TasksCancelled,
    TasksReopened,
    TasksReused,
    TaskWithdrawn,
)
from app.usage import Usage
from tables import folds, history, judgements, progress, provider_requests, scores, spending, tasks
from tables.at import At
from tables.base import Rows, Table, forget_rows

TABLES = [scores.table, history.table, progress.table, spending.table, judgements.table, provider_requests.table]
TABLES.append(tasks.table)
ERROR = Error(type="ValueError", message="no")
DAY = 86_400
KINDS = ["wait", "wait", "wait", "join", "join", "end", "end", "ask", "withdraw", "again", "control", "reuse"]

Stored = dict[str, dict[bytes, bytes]]
_stored: Stored = {}


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def write(table: Table, _: int, rows: Rows) -> None:
        for key, value in rows:
            if value is None:
                _stored[table.name].pop(key, None)
            else:
                _stored[table.name][key] = value

    monkeypatch.setattr(Table, "get_row", lambda table, _, key: _stored[table.name].get(key))
    monkeypatch.setattr(Table, "write", write)
    yield
    forget_rows()


class Worker:
    """What a worker would write to the log about two tasks, each wanted by two requests."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data
        self._told: set[int] = set()  # the tasks with an event in this record
        self._round, self._attempts, self._parked, self._ended = [1, 1], [0, 0], [False, False], [False, False]
        self._controls = [0, 0]  # by request

    def record(self, size: int) -> list[ScoreEvent]:
        """Of each task at most one event, but for requests to providers: the next comes once this one is applied."""
        self._told.clear()
        return [self._event() for _ in range(size)]

    def _event(self) -> ScoreEvent:
        kind = self._data.draw(st.sampled_from(KINDS))
        task, request = self._data.draw(st.tuples(st.integers(0, 1), st.integers(0, 1)))
        if kind == "control":
            return self._control(request)
        if kind == "reuse":
            return TasksReused(request_id=f"r{request}", chunk=0, scorer=0, calls=[task], at=1.0)
        if kind == "ask" or task in self._told:
            return ProviderAsked(**self._facts(task), targets=[])
        self._told.add(task)
        if kind == "again" and self._ended[task]:
            return self._end(task)
        if self._ended[task]:
            self._round[task], self._attempts[task], self._ended[task] = self._round[task] + 1, 0, False
        if kind == "join" and self._parked[task]:
            return TaskJoined(**self._facts(task), targets=self._targets(task, request))
        if kind == "withdraw" and self._parked[task]:
            return TaskWithdrawn(**self._facts(task), targets=self._targets(task, request))
        return self._wait(task) if kind == "wait" else self._end(task)

    def _facts(self, task: int) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "project_id": "p",
            "call_id": f"c{task}",
            "scorer_ref": "s",
            "round": self._round[task],
        }
        return facts | {"attempts": self._attempts[task], "at": float(self._round[task])}

    def _targets(self, task: int, *requests: int) -> list[Target]:
        opened = {request: progress.load(0, f"r{request}", 0, 0).opened(task) for request in requests}
        return [Target(f"r{request}", 0, 0, task, opened[request]) for request in requests]

    def _wait(self, task: int) -> ScoreEvent:
        self._parked[task] = True
        facts = self._facts(task) | {"targets": self._targets(task, 0)}
        if self._data.draw(st.booleans()):
            return TaskParked(**facts, reason="waiting_for_call", until=9.0)
        self._attempts[task] += 1
        facts["attempts"] += 1
        return AttemptFailed(**facts, error=ERROR, next_at=9.0, spent=Usage(requests=1, cost=3), day=DAY)

    def _end(self, task: int) -> ScoreEvent:
        parked, self._parked[task], self._ended[task] = self._parked[task], False, True
        facts = self._facts(task) | {"targets": self._targets(task, 0, 1), "parked": parked}
        spent: dict[str, Any] = (
            {"spent": Usage(requests=1, cost=5), "day": DAY} if self._data.draw(st.booleans()) else {}
        )
        kind = self._data.draw(st.sampled_from([ScoreSucceeded, ScoreFailed, ScoreCancelled]))
        if kind is ScoreSucceeded:
            lineage = {"question": f"{self._data.draw(st.integers(0, 1)):064x}"}
            return ScoreSucceeded(**facts, **spent, output=self._round[task], lineage=lineage)
        return ScoreFailed(**facts, **spent, error=ERROR) if kind is ScoreFailed else ScoreCancelled(**facts, **spent)

    def _control(self, request: int) -> ScoreEvent:
        self._controls[request] += 1
        facts: dict[str, Any] = {"request_id": f"r{request}", "chunk": 0, "scorer": 0, "at": 1.0}
        facts["control"] = self._controls[request]
        if self._data.draw(st.booleans()):
            return TasksCancelled(**facts, calls=2)
        return TasksReopened(**facts, statuses=["failed", "cancelled"], calls=None)


def deliver(records: list[list[ScoreEvent]], offsets: range) -> None:
    forget_rows()
    for offset in offsets:
        folds.SCORE_EVENTS.apply(At(0, offset, float(offset)), ScoreEvents(events=records[offset]))


def copy() -> Stored:
    return {table.name: dict(_stored[table.name]) for table in TABLES}


@given(st.data())
def test_records_that_are_delivered_again_change_no_row_whichever_tables_had_them(data: st.DataObject) -> None:
    worker, records = Worker(data), []
    _stored.clear()
    _stored.update({table.name: {} for table in TABLES})
    after = [copy()]
    for offset, size in enumerate(data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=6))):
        records.append(worker.record(size))
        deliver(records, range(offset, offset + 1))
        after.append(copy())
    committed = data.draw(st.integers(0, len(records)))
    for table in TABLES:
        _stored[table.name] = dict(after[data.draw(st.integers(committed, len(records)))][table.name])
    deliver(records, range(committed, len(records)))
    assert _stored == after[-1]


def test_a_task_that_others_joined_ends_the_same_if_only_one_table_had_its_end() -> None:
    facts: dict[str, Any] = {"project_id": "p", "call_id": "c", "scorer_ref": "s", "at": 1.0, "attempts": 1}
    one, other = Target("r0", 0, 0, 0), Target("r1", 0, 0, 0)
    records: list[list[ScoreEvent]] = [
        [AttemptFailed(**facts, targets=[one], error=ERROR, next_at=9.0)],
        [TaskJoined(**facts, targets=[other])],
        [ScoreFailed(**facts, targets=[one, other], parked=True, error=ERROR)],
    ]
    _stored.update({table.name: {} for table in TABLES})
    deliver(records, range(3))
    ended = copy()
    for ahead in TABLES:
        # `tasks` had its row taken away: the first record that is delivered again is the one that joins.
        _stored.update({table.name: {} for table in TABLES} | {ahead.name: dict(ended[ahead.name])})
        deliver(records, range(1 if ahead is tasks.table else 0, 3))
        assert _stored[scores.table.name] == ended[scores.table.name]
        assert _stored[tasks.table.name] == {}
