"""Queries: calls with what was said of them, by scorers and by people, which lies in the partition of the call."""

from typing import Any, TypedDict

from app import ids
from tables import calls, scores, weave
from tables.paging import Page

_MOST_SCORES = 1_000  # of a call


class Judged(TypedDict):
    """A call, the scores that are shown of it, and the feedback on it; of these nothing unless they are asked for."""

    call: dict[str, Any]
    scores: list[scores.Shown]
    feedback: list[dict[str, Any]]


def find(partition: int, project_id: str, call_id: str, said: bool) -> Judged | None:
    """A call that is there."""
    call = calls.find_call(partition, project_id, call_id)
    return None if call is None else _judged(partition, project_id, call, said)


def page(partition: int, after: str | None, rows: int, project_id: str, said: bool) -> Page:
    """A project's calls that are there, by call key."""
    found = calls.page(partition, after, rows, project_id)
    items = [(key, _judged(partition, project_id, call, said)) for key, call in found["items"]]
    return {"items": items, "next": found["next"]}


def said_of(partition: int, project_id: str, call_id: str) -> tuple[list[scores.Shown], list[dict[str, Any]]]:
    """The scores and the feedback of a call, whether it is there or not."""
    return _scores(partition, project_id, call_id), _feedback(partition, project_id, call_id)


def _judged(partition: int, project_id: str, call: dict[str, Any], said: bool) -> Judged:
    if not said:
        return {"call": call, "scores": [], "feedback": []}
    scored, feedback = said_of(partition, project_id, call["id"])
    return {"call": call, "scores": scored, "feedback": feedback}


def _scores(partition: int, project_id: str, call_id: str) -> list[scores.Shown]:
    shown = scores.page(partition, None, _MOST_SCORES, project_id, {"call_id": call_id, "status": "succeeded"})
    return [item for _, item in shown["items"]]


def _feedback(partition: int, project_id: str, call_id: str) -> list[dict[str, Any]]:
    return weave.feedback_of(partition, project_id, ids.call_ref(project_id, call_id))
