"""Of a body on Weave's paths the first mistake is told, and no others are looked for, however many there are."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from app.web.bodies import MAX_ERRORS, with_fewer_mistakes
from app.web.weave import datasets, feedback, queries, refs
from tests.unit.web.client import Client

MANY = 50_000
P = {"project_id": "acme/flow"}
UNKNOWN = {f"field {number}": 1 for number in range(MANY)}
WRONG = [None] * MANY


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (datasets.TableCreation, {"table": {**P, "rows": WRONG}}),
        (datasets.TableCreation, {"table": {**P, "rows": WRONG[:20_000]}}),
        (datasets.TableOfDigests, {**P, "row_digests": WRONG}),
        (datasets.TableUpdate, {**P, "base_digest": "d", "updates": WRONG[:20_000]}),
        (datasets.TableQuery, {**P, "digest": "d", "filter": {"row_digests": WRONG}}),
        (datasets.TableQuery, {**P, "digest": "d", "filter": UNKNOWN}),
        (feedback.FeedbackBatch, {"batch": WRONG[:1_000]}),
        (feedback.FeedbackQuery, {**P, "sort_by": WRONG}),
        (feedback.FeedbackQuery, {**P, "query": {**UNKNOWN, "$expr": {}}}),
        (queries.CallsQuery, {**P, "filter": {"op_names": WRONG}}),
        (queries.CallsQuery, {**P, "filter": {"call_ids": WRONG}}),
        (queries.CallsQuery, {**P, "sort_by": WRONG}),
        (queries.CallsQuery, {**P, "expand_columns": WRONG}),
        (refs.Refs, {"refs": WRONG}),
    ],
)
def test_a_body_with_any_number_of_mistakes_has_few_that_are_found(model: type[BaseModel], body: Any) -> None:
    with pytest.raises(ValidationError) as found:
        model.model_validate(with_fewer_mistakes(model, body))
    assert found.value.error_count() == (MAX_ERRORS if "field 0" in str(found.value) else 1)


@pytest.mark.parametrize(
    ("path", "body", "where", "limit"),
    [
        ("/table/create", {"table": {**P, "rows": [{}] * MANY}}, "table.rows", datasets.MAX_ROWS),
        ("/table/update", {**P, "base_digest": "d", "updates": [{}] * MANY}, "updates", datasets.MAX_ROWS),
        ("/feedback/batch/create", {"batch": [{}] * MANY}, "batch", feedback.MAX_BATCH),
    ],
)
def test_a_list_that_is_too_long_is_refused_before_it_is_looked_at(
    client: Client, path: str, body: Any, where: str, limit: int
) -> None:
    answer = client.post(path, body)
    reason = f"{where}: it has {MANY} items, more than {limit}; nothing was kept"
    assert (answer.status, answer.json) == (413, {"reason": reason})


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/feedback/query", {"sort_by": [{"field": "id"}] * 4}, "sort_by"),
        ("/calls/stream_query", {"sort_by": [{"field": "id"}] * 4}, "sort_by"),
        ("/feedback/query", {"sort_by": [{"field": "a." * 600}]}, "sort_by.0.field"),
        ("/calls/query_stats", {"filter": {"op_names": ["op"] * 10_001}}, "filter.op_names"),
        ("/calls/query_stats", {"filter": {"parent_ids": ["id"] * 10_001}}, "filter.parent_ids"),
    ],
)
def test_what_each_row_would_be_compared_with_for_long_is_refused(
    client: Client, path: str, body: Any, where: str
) -> None:
    answer = client.post(path, {**P, **body})
    assert answer.status == 422
    assert answer.json["reason"].startswith(f"{where}: ")


def test_unknown_fields_are_told_only_where_they_are_refused_and_the_first_is(client: Client) -> None:
    answer = client.post("/table/query", {**P, "digest": "d", "filter": UNKNOWN})
    assert (answer.status, answer.json) == (422, {"reason": "filter.field 0: Extra inputs are not permitted"})
    given = {**P, "weave_ref": "r", "feedback_type": "t", "payload": {}, **UNKNOWN}
    kept = feedback.Feedback.model_validate(with_fewer_mistakes(feedback.Feedback, given))
    assert (kept.model_extra or {}) == UNKNOWN
