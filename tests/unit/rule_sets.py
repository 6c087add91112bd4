"""Rules as they are set."""

from typing import Any

from app.events import RuleSet


def rule_set(**fields: Any) -> RuleSet:
    """An active rule of project `p` that samples all of its calls, but for these fields."""
    made: dict[str, Any] = {
        "control_id": "c",
        "rule_id": "r",
        "project_id": "p",
        "name": "n",
        "scorer_refs": ["s"],
        "where": {},
        "sample_rate": 1.0,
        "status": "active",
        "asked_by": None,
        "asked_at": 1.0,
    }
    return RuleSet(**made | fields)
