"""However often something is done, no row outgrows a record of its changelog: on Kafka that would end each worker."""

from typing import Any

import pytest

from app import ids
from app.events import (
    Control,
    Error,
    ProviderAsked,
    RequestRetried,
    ScoreEvents,
    ScoreFailed,
    ScorerPublished,
    Target,
)
from app.kafka.cluster import MESSAGE_BYTES
from tables import controls, folds, history, provider_requests, scorers, scores
from tables.at import At
from tables.base import Table

pytestmark = pytest.mark.usefixtures("bare_tables")

REF = "callscore:///scorer/judge:1"
KEY = ids.task_key("p", "c", REF)
TASK: dict[str, Any] = {"project_id": "p", "call_id": "c", "scorer_ref": REF, "targets": [Target("r", 0, 0, 0)]}


def largest(table: Table) -> int:
    return max(len(key) + len(value) for key, value in table.scan(0))


def publish(offset: int, digest: str, **fields: Any) -> None:
    event = ScorerPublished(
        ref=f"r:{digest}", project_id="p", name="n", kind="k", digest=digest, published_at=1.0, params={}
    )
    folds.SCORERS.apply(At(0, offset, 1.0), event.replace(**fields))


def test_versions_of_a_scorer_take_a_row_each() -> None:
    for number in range(5):
        publish(number, f"d{number}", source={"val": "x" * 900_000})
    assert largest(scorers.table) < MESSAGE_BYTES // 2
    listed = scorers.listing(0, "p")
    assert sorted(found["digest"] for found in listed) == [f"d{number}" for number in range(5)]
    assert min(listed, key=lambda found: found["order"])["digest"] == "d4"
    latest = scorers.version(0, "p", "n", "latest")
    assert latest is not None
    assert latest["digest"] == "d4"
    assert scorers.version(0, "p", "n", "d9") is None
    assert scorers.version(0, "p", "n2", "latest") is None


def test_a_version_that_is_published_again_is_the_latest_again_and_run_as_was_said_last() -> None:
    publish(0, "old", policy={"attempts": 1}, description="first")
    publish(1, "new")
    publish(2, "old", policy={"attempts": 2}, description="second")
    for digest in ("latest", "old"):
        found = scorers.version(0, "p", "n", digest)
        assert found is not None
        assert (found["digest"], found["policy"], found["description"]) == ("old", {"attempts": 2}, "first")


def test_versions_from_before_they_had_rows_of_their_own_are_still_there() -> None:
    event = ScorerPublished(ref="r:old", project_id="p", name="n", kind="k", params={}, digest="old", published_at=1.0)
    row = scorers.Row(offset=0, latest="old", versions={"old": event})
    scorers.table.put_row(0, ids.scorer_key("p", "n"), row.encode())
    publish(1, "new")
    assert sorted(found["digest"] for found in scorers.listing(0, "p")) == ["new", "old"]
    first = scorers.versions(0, None, 2, "p", "n")
    rest = scorers.versions(0, first["next"], 2, "p", "n")
    assert [item for _, item in first["items"] + rest["items"]] == [[1.0, "old", False], [1.0, "new", True]]
    publish(2, "old", policy={"attempts": 2})
    [again] = [found for found in scorers.listing(0, "p") if found["digest"] == "old"]
    assert again["policy"] == {"attempts": 2}


def test_a_task_may_fail_in_any_number_of_rounds() -> None:
    rounds = 3_000
    error = Error(type="ValueError", message="no", traceback="é" * 2_000)
    for number in range(1, rounds + 1):
        event = ScoreFailed(**TASK, round=number, attempts=1, at=float(number), error=error, lineage={"a": "b" * 200})
        folds.SCORE_EVENTS.apply(At(0, number, 1.0), ScoreEvents(events=[event]))
    assert largest(scores.table) < scores.MOST_PAST_BYTES + 16_000
    row = scores.load(0, KEY)
    assert row is not None
    ends = scores.ends(row)
    assert len(ends) == scores.MOST_PAST_ROUNDS + 1
    assert [end["round"] for end in ends] == list(range(rounds - len(ends) + 1, rounds + 1))
    assert all(end["error"]["traceback"] == error.traceback for end in ends[-20:])
    assert ends[0].keys() == {"offset", "logged_at", "status", "round", "attempts", "at", "error"}
    page = history.page(0, None, 10_000, "p", "c", REF)
    assert [item["round"] for _, item in page["items"]] == [end["round"] for end in ends]


def steer(offset: int, control: Control) -> int | None:
    return folds.CONTROLS.apply(At(0, offset, 1.0), control)


def retry(name: str, **fields: Any) -> RequestRetried:
    return RequestRetried(control_id=name, request_id="r", statuses=["failed"], asked_by=None, asked_at=1.0, **fields)


def test_a_request_may_be_retried_any_number_of_times_however_much_each_retry_says() -> None:
    for number in range(1, 6):
        assert steer(number, retry(f"c{number}", error_types=["x" * 2_000] * 900)) == number
    assert largest(controls.table) < MESSAGE_BYTES
    assert controls.last(0, "r") == 5
    again = controls.get(0, "r", 3)
    assert isinstance(again, RequestRetried)
    assert again.control_id == "c3"


def test_a_control_that_no_row_holds_is_refused_and_changes_none() -> None:
    with pytest.raises(folds.CannotApply, match="exceeds"):
        steer(1, retry("c", error_types=["x" * 2_000] * 1_100))
    assert list(controls.table.scan(0)) == []


def test_requests_that_one_attempt_makes_together_are_all_known_to_have_begun() -> None:
    asked = ProviderAsked(**TASK | {"targets": []}, attempts=1, at=1.0)
    for _ in range(2):  # delivered again
        folds.SCORE_EVENTS.apply(At(0, 5, 1.0), ScoreEvents(events=[asked, asked, asked]))
        assert provider_requests.load(0, KEY) == (5, 3)
    folds.SCORE_EVENTS.apply(At(0, 6, 1.0), ScoreEvents(events=[asked]))
    assert provider_requests.load(0, KEY) == (6, 4)
