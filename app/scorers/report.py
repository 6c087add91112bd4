"""What an attempt tells about itself beside its score: whom it asked, how, and what that took.

It counts whatever becomes of the attempt: an answer that cannot be read has been paid for too.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

_PICO = 10**12


@dataclass(slots=True)
class Report:
    """Filled by the scorer while its attempt runs. The ids are of what the attempt is of."""

    task_id: str = ""
    scorer_ref: str = ""

    lineage: dict[str, Any] = field(default_factory=dict)
    """What the score was made with: `model`, `parameters`, `prompt_digest`, … JSON values that show no payload."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0
    """In picodollars, so that sums are exact."""

    unpriced: int = 0
    """Requests whose price or tokens nobody knows."""

    unanswered: int = 0
    """Requests that are under way, or were cut off."""

    on_asking: Callable[[], Awaitable[None]] | None = None
    """Awaited before a request is sent."""

    def made_with(self, **lineage: Any) -> None:
        """Add to the lineage of the score."""
        self.lineage.update(lineage)

    async def asking(self) -> None:
        """A request is about to be sent, which `asked` or `refused` ends. A kill after this is known to the bill."""
        if self.on_asking is not None:
            await self.on_asking()
        self.unanswered += 1

    def refused(self) -> None:
        """It was not answered, and so costs nothing."""
        self.unanswered = max(0, self.unanswered - 1)

    def asked(self, input_tokens: int | None, output_tokens: int | None, usd: tuple[float, float] | None) -> None:
        """A request was answered: its tokens, None if the answer does not say, and USD for a million of each."""
        self.unanswered = max(0, self.unanswered - 1)
        self.requests += 1
        self.input_tokens += input_tokens or 0
        self.output_tokens += output_tokens or 0
        if input_tokens is None or output_tokens is None or usd is None:
            self.unpriced += 1
        else:
            self.cost += input_tokens * picodollars(usd[0]) + output_tokens * picodollars(usd[1])

    def add(self, other: "Report") -> None:
        """Take over what another one says."""
        self.lineage |= other.lineage
        self.requests += other.requests
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cost += other.cost
        self.unpriced += other.unpriced
        self.unanswered += other.unanswered


def picodollars(usd_per_million: float) -> int:
    """The price of one token."""
    return round(usd_per_million * _PICO / 1_000_000)


def usd(cost: int) -> float:
    """Picodollars as dollars."""
    return cost / _PICO


current: ContextVar[Report | None] = ContextVar("report", default=None)


def report() -> Report:
    """The report of the attempt that runs here; one that nobody reads where none does."""
    found = current.get()
    return Report() if found is None else found
