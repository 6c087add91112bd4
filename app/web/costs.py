"""What was spent, as clients see it."""

from typing import Any

from app.scorers.report import usd
from app.usage import Usage


def cost(spent: Usage | None) -> dict[str, Any] | None:
    """None where nobody was asked. `usd` is None where no request has a price, and lacks those that have none."""
    if spent is None:
        return None
    return {
        "usd": None if spent.unpriced and not spent.cost else usd(spent.cost),
        "requests": spent.requests,
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "unpriced_requests": spent.unpriced,
        "unanswered_requests": spent.unanswered,
    }


def cost_of(stored: dict[str, int] | None) -> dict[str, Any] | None:
    """`cost` of what a row has."""
    return cost(None if stored is None else Usage(**stored))
