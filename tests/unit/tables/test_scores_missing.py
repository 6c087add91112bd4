"""That a task has no score yet is asked for once and not twice, and never believed for too long."""

from typing import Any

import pytest

from app import ids
from app.events import ScoreEvents, ScoreSucceeded, Target
from tables import folds, scores
from tables.at import At
from tables.base import forget_rows

pytestmark = pytest.mark.usefixtures("bare_tables")

REF = "callscore:///scorer/judge:1"
KEY = ids.task_key("p", "c", REF)


def succeed(offset: int, round_number: int) -> None:
    task: dict[str, Any] = {"project_id": "p", "call_id": "c", "scorer_ref": REF, "targets": [Target("r", 0, 0, 0)]}
    event = ScoreSucceeded(**task, round=round_number, attempts=1, at=1.0, output=1)
    folds.SCORE_EVENTS.apply(At(0, offset, 1.0), ScoreEvents(events=[event]))


def test_whoever_applies_the_outcome_does_not_look_through_the_table_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert scores.ended(0, KEY) is None
    asked: list[bytes] = []
    monkeypatch.setattr(scores.table, "get_row", lambda _, key: asked.append(key))
    assert scores.load(0, KEY) is None
    assert asked == []


def test_a_score_that_was_written_after_a_look_is_seen_by_the_next_one() -> None:
    for round_number in (1, 2):
        found = scores.ended(0, KEY)
        assert found == (None if round_number == 1 else ("succeeded", 1, 1, 1.0))
        succeed(round_number, round_number)
    row = scores.load(0, KEY)
    assert row is not None
    assert [past["round"] for past in row["past"]] == [1]


def test_a_score_that_another_worker_has_written_is_seen_once_partitions_were_assigned() -> None:
    assert scores.ended(0, KEY) is None
    scores.table.write(0, scores.encode_all({KEY: {"status": "succeeded", "round": 1}}))
    forget_rows()
    assert scores.load(0, KEY) == {"status": "succeeded", "round": 1}


def test_looks_that_nobody_follows_up_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "_MOST_MISSING", 2)
    for call in "abc":
        scores.ended(0, ids.task_key("p", call, REF))
    assert len(scores._missing) == 1
