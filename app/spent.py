"""The usage of providers by attempts: requests, tokens, money."""

from typing import Annotated

from msgspec import Meta

from app.scorers import Report
from app.structs import Struct

MOST_SPENT = 2**63 - 1  # of each amount; sums are capped there
Amount = Annotated[int, Meta(ge=0, le=MOST_SPENT)]


class Spent(Struct, omit_defaults=True):
    """The usage of providers by attempts. `cost` is in picodollars, so that sums are exact."""

    requests: Amount = 0  # that were answered
    input_tokens: Amount = 0
    output_tokens: Amount = 0
    cost: Amount = 0
    unpriced: Amount = 0  # answered requests whose cost is unknown
    unanswered: Amount = 0  # requests that were cut off, which may have cost something

    @classmethod
    def of(cls, told: Report, lost: int = 0) -> "Spent | None":
        """The usage in an attempt's report, and `lost` requests of earlier attempts; None if there were no requests."""
        unanswered = told.unanswered + lost
        if not told.requests and not unanswered:
            return None
        return cls(
            requests=min(told.requests, MOST_SPENT),
            input_tokens=min(told.input_tokens, MOST_SPENT),
            output_tokens=min(told.output_tokens, MOST_SPENT),
            cost=min(told.cost, MOST_SPENT),
            unpriced=min(told.unpriced, MOST_SPENT),
            unanswered=min(unanswered, MOST_SPENT),
        )

    @property
    def priced(self) -> int:
        """Requests whose cost is known."""
        return self.requests - self.unpriced

    @property
    def untold(self) -> int:
        """Requests that may have cost something, but unknown how much."""
        return self.unpriced + self.unanswered

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(**{name: min(getattr(self, name) + getattr(other, name), MOST_SPENT) for name in AMOUNTS})


AMOUNTS = Spent.__struct_fields__


def spent_in_all(*spent: Spent | None) -> Spent | None:
    """The sum; None if all are None, since no provider was asked."""
    found = [one for one in spent if one is not None]
    return sum(found[1:], found[0]) if found else None
