"""Queries: calls with what was said of them, by scorers and by people, which lies in the partition of the call."""

from collections.abc import Callable
from typing import Any, TypedDict

import orjson

from app import ids
from tables import calls, scores, weave
from tables.base import MIB
from tables.paging import Page, Slice

MOST_SAID_BYTES = 8 * MIB  # of a call, that are given with it
_AT_ONCE = 1_000
_CALLS_AT_ONCE = 16  # as what is said of them fills a page, and those beyond it would be read again


class CallWithFeedback(TypedDict):
    """A call, the scores that are shown of it, and the feedback on it; of these nothing unless they are asked for.

    `whole` is whether that is all of them: more than 8 MiB are not given with a call.
    """

    call: dict[str, Any]
    scores: list[scores.Shown]
    feedback: list[dict[str, Any]]
    whole: bool


def find(partition: int, project_id: str, call_id: str, said: bool) -> CallWithFeedback | None:
    """A call that is there."""
    call = calls.find_call(partition, project_id, call_id)
    return None if call is None else _judged(partition, project_id, call, said)


def page(partition: int, after: str | None, rows: int, project_id: str, said: bool) -> Page:
    """A project's calls that are there, by call key."""
    found = Slice(rows)
    listed = calls.page(partition, after, min(rows, _CALLS_AT_ONCE) if said else rows, project_id)
    for key, call in listed["items"]:
        judged = _judged(partition, project_id, call, said)
        found.add(key, judged, len(orjson.dumps(judged)) if said else 0)
        if said and found.full():
            return found.page(key)
    return found.page(listed["next"])


def _judged(partition: int, project_id: str, call: dict[str, Any], said: bool) -> CallWithFeedback:
    judged: CallWithFeedback = {"call": call, "scores": [], "feedback": [], "whole": True}
    if said:
        left = MOST_SAID_BYTES
        filters: scores.Filters = {"call_id": call["id"], "status": "succeeded"}
        judged["scores"], left = _all(lambda after: scores.page(partition, after, _AT_ONCE, project_id, filters), left)
        ref = ids.call_ref(project_id, call["id"])
        judged["feedback"], left = _all(
            lambda after: weave.feedback_of(partition, after, _AT_ONCE, project_id, ref), left
        )
        judged["whole"] = left >= 0
    return judged


def _all(page: Callable[[str | None], Page], left: int) -> tuple[list[Any], int]:
    """The items of all pages, and how many bytes more there might have been; fewer than 0 if they were too many."""
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
