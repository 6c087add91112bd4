"""What is in flight stays so until the recorder has applied what became of it, and nothing else."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents import recorder
from agents.lanes import unpark
from agents.scoring import scoring
from app import ids
from app.events import AttemptFailed, Error, OfTask, ScoreEvents, ScoreFailed, ScoreSucceeded, Target
from app.spent import Spent
from tables import folds, in_flight, tasks
from tables.at import At
from tables.base import tables

REF = "callscore:///scorer/judge:1"
KEY = ids.task_key("p", "c", REF, "")
TASK: dict[str, Any] = {"project_id": "p", "call_id": "c", "scorer_ref": REF, "targets": [Target("r", 0, 0, 0)]}


@pytest.fixture(autouse=True)
def _nothing_in_flight(table_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for table in tables:
        monkeypatch.setattr(table, "has_changelog", False)
    yield
    in_flight.pop(KEY)
    scoring.parking.clear()


def deliver(offset: int, event: OfTask) -> None:
    recorder.tell(0, folds.SCORE_EVENTS.apply(At(0, offset, 1.0), ScoreEvents(events=[event])))


def failed_attempt(number: int) -> AttemptFailed:
    error = Error(type="overloaded", message="try later")
    return AttemptFailed(**TASK, attempts=number, at=number, error=error, next_at=time.time() - 1)


def start_attempt() -> in_flight.Entry:
    row = tasks.load(0, KEY)
    assert row is not None
    entry = in_flight.Entry(0, KEY, "p", REF, [], since=time.time(), task=unpark(0, KEY, row))
    in_flight.add(entry)
    return entry


async def test_an_attempt_goes_on_when_the_failure_of_the_one_before_it_is_delivered_again() -> None:
    deliver(5, failed_attempt(1))
    entry = start_attempt()
    scoring.reassigned({0})
    deliver(5, failed_attempt(1))
    assert in_flight.get(KEY) is entry


async def test_a_task_is_in_flight_until_what_was_said_last_of_it_is_applied() -> None:
    deliver(5, failed_attempt(1))
    entry = start_attempt()
    last = ScoreFailed(**TASK, attempts=2, parked=True, at=2.0, error=Error(type="refused", message="no"))
    in_flight.say(entry, last.at)
    deliver(5, failed_attempt(1))
    assert in_flight.get(KEY) is entry
    deliver(6, last)
    assert in_flight.get(KEY) is None


@pytest.mark.parametrize(("spent", "told"), [(Spent(unanswered=1), []), (Spent(requests=1), [("p", REF, 0)])])
def test_what_was_not_answered_says_nothing_of_what_an_attempt_costs(
    spent: Spent, told: list[tuple[str, str, int]]
) -> None:
    error = Error(type="scorer_timeout", message="no answer")
    event = ScoreFailed(**TASK, attempts=1, at=1.0, error=error, day=0, spent=spent)
    assert folds.SCORE_EVENTS.apply(At(0, 5, 1.0), ScoreEvents(events=[event])).spent == told


def test_a_record_with_an_output_that_no_row_can_hold_is_refused_and_changes_no_row() -> None:
    good = ScoreSucceeded(**TASK, attempts=1, at=1.0, output=1)
    huge = good.replace(call_id="d", output=2**70, lineage={"question": "q"})
    with pytest.raises(folds.CannotApply, match="64"):
        folds.SCORE_EVENTS.apply(At(0, 5, 1.0), ScoreEvents(events=[good, huge]))
    assert [row for table in tables for row in table.scan(0)] == []
