"""Scores and feedback as rows of Weave's feedback.

A succeeded score has the type that the SDK would give it, `wandb.runnable.` and the name of the scorer.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from app import ids
from app.scorers import scorer_name
from app.web.responses import timestamp
from tables.scores import Shown

RUNNABLE = "wandb.runnable."


def oldest_first(project_id: str, scored: Iterable[Shown], given: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Scores and feedback as rows, oldest first."""
    rows = [*(of_score(project_id, shown) for shown in scored), *given]
    return sorted(rows, key=lambda row: str(row["created_at"]))


def of_score(project_id: str, shown: Shown) -> dict[str, Any]:
    """A score as a row. Its id is the same for all revisions."""
    which = ids.digest("score", project_id, shown["call_id"], shown["scorer_ref"])
    return {
        "id": str(UUID(hex=which)),
        "project_id": project_id,
        "weave_ref": ids.call_ref(project_id, shown["call_id"]),
        "feedback_type": f"{RUNNABLE}{scorer_name(shown['scorer_ref'])}",
        "payload": {"output": shown["row"].get("output")},
        "runnable_ref": shown["scorer_ref"],
        "created_at": timestamp(shown["row"]["at"]),
        "creator": None,
        "wb_user_id": None,
    }
