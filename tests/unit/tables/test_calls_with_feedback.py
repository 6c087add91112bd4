"""A call is given with all that was said of it, or it is told that this is not all."""

from typing import Any

import pytest

from app import ids
from app.events import CallLogged, FeedbackGiven, ScoreEvents, ScoreFailed, ScoreSucceeded
from app.events import Error as ScoreError
from tables import calls_with_feedback, folds
from tables.at import At

PROJECT, CALL = "p", "c"


@pytest.fixture(autouse=True)
def _logged(bare_tables: None) -> None:
    call = {"id": CALL, "output": "x"}
    logged = CallLogged(project_id=PROJECT, call_id=CALL, part="complete", call=call, logged_at=1.0)
    folds.CALLS.apply(At(0, 0, 1.0), logged)


def scored(number: int, size: int) -> None:
    task: dict[str, Any] = {"project_id": PROJECT, "call_id": CALL, "targets": []}
    failed = ScoreFailed(
        **task, scorer_ref=f"s:{number:03d}-", attempts=1, at=1.0, error=ScoreError(type="t", message="m")
    )
    fine = ScoreSucceeded(**task, scorer_ref=f"s:{number:03d}", attempts=1, at=1.0, output="x" * size)
    folds.SCORE_EVENTS.apply(At(0, number + 1, 1.0), ScoreEvents(events=[failed, fine]))


def said(number: int, size: int) -> None:
    row = {"id": str(number), "created_at": "now", "payload": {"note": "x" * size}}
    ref = ids.call_ref(PROJECT, CALL)
    event = FeedbackGiven(project_id=PROJECT, weave_ref=ref, feedback_id=str(number), feedback=row)
    folds.WEAVE.apply(At(0, number, 1.0), event)


def test_large_scores_and_those_that_failed_in_between_hide_none_of_the_others() -> None:
    for number in range(20):
        scored(number, 200_000)
    for number in range(3):
        said(number, 500_000)
    found = calls_with_feedback.find(0, PROJECT, CALL, with_feedback=True)
    assert found is not None
    assert [shown["scorer_ref"] for shown in found["scores"]] == [f"s:{number:03d}" for number in range(20)]
    assert [row["id"] for row in found["feedback"]] == ["0", "1", "2"]
    assert found["whole"]
    [(_, listed)] = calls_with_feedback.page(0, None, 10, PROJECT, True)["items"]
    assert listed == found


def test_what_is_more_than_is_given_with_a_call_is_not_taken_for_the_whole() -> None:
    for number in range(10):
        said(number, 1_000_000)
    found = calls_with_feedback.find(0, PROJECT, CALL, with_feedback=True)
    assert found is not None
    assert not found["whole"]
    without = calls_with_feedback.find(0, PROJECT, CALL, with_feedback=False)
    assert without is not None
    assert (without["whole"], without["feedback"]) == (True, [])
