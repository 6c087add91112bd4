"""What attempts took of those who were asked: requests, tokens, money."""

from typing import Annotated

from msgspec import Meta

from app.scorers import Report
from app.structs import Struct

MOST_SPENT = 2**63 - 1  # of anything; sums stop there
Amount = Annotated[int, Meta(ge=0, le=MOST_SPENT)]


class Spent(Struct, omit_defaults=True):
    """What attempts took of those who were asked. `cost` is in picodollars, so that sums are exact."""

    requests: Amount = 0  # that were answered
    input_tokens: Amount = 0
    output_tokens: Amount = 0
    cost: Amount = 0
    unpriced: Amount = 0  # requests of which nobody knows what they cost
    unanswered: Amount = 0  # that were cut off, and may have cost what nobody told

    @classmethod
    def of(cls, told: Report, lost: int = 0) -> "Spent | None":
        """What an attempt tells, and `lost` requests of earlier ones that were cut off; None if nobody was asked."""
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
        """Requests that may have cost what nobody told."""
        return self.unpriced + self.unanswered

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(**{name: min(getattr(self, name) + getattr(other, name), MOST_SPENT) for name in AMOUNTS})


AMOUNTS = Spent.__struct_fields__


def spent_in_all(*spent: Spent | None) -> Spent | None:
    """What all of them took together; None if nobody was asked."""
    found = [one for one in spent if one is not None]
    return sum(found[1:], found[0]) if found else None
