"""What attempts used: requests to providers, tokens, money."""

from typing import Annotated

from msgspec import Meta

from app.scorers import Report
from app.structs import Struct

MOST_USED = 2**63 - 1  # of anything; sums stop there
Amount = Annotated[int, Meta(ge=0, le=MOST_USED)]


class Usage(Struct, omit_defaults=True):
    """What attempts used. `cost` is in picodollars, so that sums are exact."""

    requests: Amount = 0  # that were answered
    input_tokens: Amount = 0
    output_tokens: Amount = 0
    cost: Amount = 0
    unpriced: Amount = 0  # requests that were answered, at an unknown cost
    unanswered: Amount = 0  # requests that were cut off, and may have cost something

    @classmethod
    def of(cls, report: Report, cut_off: int = 0) -> "Usage | None":
        """The usage that an attempt reports, and `cut_off` requests of earlier ones; None if nobody was asked."""
        unanswered = report.unanswered + cut_off
        if not report.requests and not unanswered:
            return None
        return cls(
            requests=min(report.requests, MOST_USED),
            input_tokens=min(report.input_tokens, MOST_USED),
            output_tokens=min(report.output_tokens, MOST_USED),
            cost=min(report.cost, MOST_USED),
            unpriced=min(report.unpriced, MOST_USED),
            unanswered=min(unanswered, MOST_USED),
        )

    @property
    def priced(self) -> int:
        """Requests whose cost is known."""
        return self.requests - self.unpriced

    @property
    def unknown_cost(self) -> int:
        """Requests whose cost is unknown."""
        return self.unpriced + self.unanswered

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(**{name: min(getattr(self, name) + getattr(other, name), MOST_USED) for name in AMOUNTS})


AMOUNTS = Usage.__struct_fields__


def total_usage(*usages: Usage | None) -> Usage | None:
    """The sum of all; None if nobody was asked."""
    found = [usage for usage in usages if usage is not None]
    return sum(found[1:], found[0]) if found else None
