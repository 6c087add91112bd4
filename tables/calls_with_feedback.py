"""Query over tables: calls with their scores and the feedback on them, which lie in the partition of the call."""

from collections.abc import Callable
from typing import Any, TypedDict

import orjson

from app import ids
from app.rocks import MIB
from tables import calls, scores, weave
from tables.paging import Page, page_of

MAX_FEEDBACK_BYTES = 8 * MIB  # with a call, scores included
_AT_ONCE = 1_000
_CALLS_AT_ONCE = 16  # with feedback, which soon fills a page: calls beyond it would be read again


class CallWithFeedback(TypedDict):
    """A call, and if asked for its current scores and the feedback on it.

    `whole` is False where these were cut off, since they exceed 8 MiB.
    """

    call: dict[str, Any]
    scores: list[scores.Shown]
    feedback: list[dict[str, Any]]
    whole: bool


def find(partition: int, project_id: str, call_id: str, with_feedback: bool) -> CallWithFeedback | None:
    """A call that has ended."""
    call = calls.find_call(partition, project_id, call_id)
    return None if call is None else _with_feedback(partition, project_id, call, with_feedback)


def page(partition: int, after: str | None, rows: int, project_id: str, with_feedback: bool) -> Page:
    """A project's calls that have ended, by call key."""
    listed = calls.page(partition, after, min(rows, _CALLS_AT_ONCE) if with_feedback else rows, project_id)
    items = ((key, _with_feedback(partition, project_id, call, with_feedback)) for key, call in listed["items"])
    if not with_feedback:
        return {"items": list(items), "next": listed["next"]}
    found = page_of(rows, ((key, item, len(orjson.dumps(item))) for key, item in items))
    return {"items": found["items"], "next": found["next"] or listed["next"]}


def _with_feedback(partition: int, project_id: str, call: dict[str, Any], with_feedback: bool) -> CallWithFeedback:
    found: CallWithFeedback = {"call": call, "scores": [], "feedback": [], "whole": True}
    if with_feedback:
        left = MAX_FEEDBACK_BYTES
        filters: scores.Filters = {"call_id": call["id"], "status": "succeeded"}
        found["scores"], left = _all(lambda after: scores.page(partition, after, _AT_ONCE, project_id, filters), left)
        ref = ids.call_ref(project_id, call["id"])
        found["feedback"], left = _all(
            lambda after: weave.feedback_of(partition, after, _AT_ONCE, project_id, ref), left
        )
        found["whole"] = left >= 0
    return found


def _all(page: Callable[[str | None], Page], left: int) -> tuple[list[Any], int]:
    """The items of all pages, and what remains of `left` bytes; below 0 if they exceed it, and then not all items."""
    found: list[Any] = []
    after = None
    while left >= 0:
        one = page(after)
        found += [item for _, item in one["items"]]
        left -= sum(len(orjson.dumps(item)) for _, item in one["items"])
        after = one["next"]
        if after is None:
            break
    return found, left
