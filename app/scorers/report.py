"""What an attempt reports beside its score: the requests that it sent, with which model, and what they used.

It counts even if the attempt fails: an answer that cannot be read has been paid for too.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import orjson

from app import ids
from app.scorers.errors import InvalidOutput, NoJudgement, ScorerError, ScorerRaised, portable
from app.scorers.outputs import encode_output

MAX_LINEAGE_BYTES = 16 * 1024
MOST_TOKENS = 10**9  # of one request
MOST_USD = 10**6  # for a million tokens
_PICO = 10**12
TaskParts = tuple[str, str, str, str]  # project id, call id, scorer ref, occasion
ReportSnapshot = tuple[bytes, tuple[int, ...]]  # the lineage as JSON, and the amounts

Outcome = bytes | ScorerError
"""The score as JSON, or why there is none."""

OnOutcome = Callable[[Outcome], None]

_AMOUNTS = ("requests", "input_tokens", "output_tokens", "cost", "unpriced", "unanswered")


@dataclass(slots=True)
class Report:
    """Filled by the scorer while its attempt runs."""

    task: TaskParts = ("", "", "", "")
    """The task that it is an attempt at."""

    lineage: dict[str, Any] = field(default_factory=dict)
    """What the score was made with: `model`, `parameters`, `prompt_digest`, … JSON values that show no payload."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = 0
    """In picodollars, so that sums are exact."""

    unpriced: int = 0
    """Requests whose price nobody knows, or whose tokens, unless they are free."""

    unanswered: int = 0
    """Requests that are under way, or were cut off."""

    _bytes: int = field(default=0, repr=False, compare=False)  # upper bound of the size of the lineage

    before_request: Callable[[], Awaitable[None]] | None = None
    """Awaited before a request is sent."""

    @property
    def scorer_ref(self) -> str:
        return self.task[2]

    @property
    def task_id(self) -> str:
        """The same for all attempts at the task."""
        return ids.task_id(*self.task)

    def made_with(self, **lineage: Any) -> None:
        """Add to the lineage of the score. Raises InvalidOutput if it is not JSON, or too large."""
        try:
            encoded = encode_output(lineage)
            known = {**self.lineage, **orjson.loads(encoded)}
            size = self._bytes + len(encoded)
            if size > MAX_LINEAGE_BYTES:
                size = len(encode_output(known))  # values that were replaced do not count
        except InvalidOutput as error:
            raise InvalidOutput(f"What it was made with cannot be kept. {error}") from None
        if size > MAX_LINEAGE_BYTES:
            raise InvalidOutput(f"What it was made with is more than the {MAX_LINEAGE_BYTES:,} bytes that are kept.")
        self.lineage, self._bytes = known, size

    async def asking(self) -> None:
        """To be awaited before a request is sent, so that it is counted even if a kill cuts it off."""
        if self.before_request is not None:
            await self.before_request()
        self.unanswered += 1

    def cost_nothing(self) -> None:
        """The request was refused, or not sent, and so costs nothing."""
        self.unanswered = max(0, self.unanswered - 1)

    def asked(self, input_tokens: int | None, output_tokens: int | None, usd: tuple[float, float] | None) -> None:
        """A request was answered: its tokens, None where the answer does not say, and USD for a million of each.

        Raises ValueError for an invalid number of tokens or price.
        """
        for tokens in (input_tokens, output_tokens):
            if tokens is not None and (type(tokens) is not int or not 0 <= tokens < MOST_TOKENS):
                raise ValueError(f"asked() takes numbers of tokens from 0 on, not {tokens!r}.")
        if usd is not None and not all(0 <= price < MOST_USD for price in usd):
            raise ValueError(f"asked() takes two prices in USD for a million tokens, not {usd!r}.")
        self.unanswered = max(0, self.unanswered - 1)
        self.requests += 1
        self.input_tokens += input_tokens or 0
        self.output_tokens += output_tokens or 0
        if usd is None or ((input_tokens is None or output_tokens is None) and any(usd)):
            self.unpriced += 1
        else:
            self.cost += (input_tokens or 0) * picodollars(usd[0]) + (output_tokens or 0) * picodollars(usd[1])

    def snapshot(self) -> ReportSnapshot:
        """The report as JSON and numbers, safe to send to another process whatever a scorer has written into it.

        Raises:
            InvalidReport: it holds what cannot be sent. The error has a snapshot without that.
        """
        snapshot = EMPTY
        try:
            snapshot = b"{}", tuple(_amount(getattr(self, name)) for name in _AMOUNTS)
            if not isinstance(self.lineage, dict):
                raise TypeError(f"its lineage is no dict but {type(self.lineage).__name__}")
            lineage = encode_output(self.lineage)
            if len(lineage) > MAX_LINEAGE_BYTES:
                raise ValueError(f"its lineage has {len(lineage):,} bytes, more than {MAX_LINEAGE_BYTES:,}")
        except Exception as error:
            raise InvalidReport(ScorerRaised.of(error).message, snapshot) from error
        return lineage, snapshot[1]

    def update(self, snapshot: ReportSnapshot) -> None:
        """Take over the newest snapshot of the attempt, which runs in another process."""
        lineage, amounts = snapshot
        self.lineage |= orjson.loads(lineage)
        self.requests, self.input_tokens, self.output_tokens, self.cost, self.unpriced, self.unanswered = amounts


EMPTY: ReportSnapshot = (b"{}", (0,) * len(_AMOUNTS))


class InvalidReport(Exception):
    """A scorer has written into its report what cannot be sent; `snapshot` has what can."""

    def __init__(self, message: str, snapshot: ReportSnapshot) -> None:
        super().__init__(message)
        self.snapshot = snapshot


def portable_end(outcome: Outcome, report: Report) -> tuple[Outcome, ReportSnapshot]:
    """The outcome and the report of a run, in a form that another process can read."""
    try:
        snapshot = report.snapshot()
    except InvalidReport as invalid:
        outcome, snapshot = NoJudgement("invalid_report", str(invalid)), invalid.snapshot
    return portable(outcome) if isinstance(outcome, ScorerError) else outcome, snapshot


def _amount(value: Any) -> int:
    amount = int(value)
    if amount < 0:
        raise ValueError(f"it tells of {amount} where amounts are from 0 on")
    return amount


def picodollars(usd_per_million: float) -> int:
    """The price of one token."""
    return round(usd_per_million * _PICO / 1_000_000)


def usd(cost: int) -> float:
    """Picodollars as dollars."""
    return cost / _PICO


current: ContextVar[Report | None] = ContextVar("report", default=None)


def report() -> Report:
    """The report of the attempt that runs here; outside of one, a report that nobody reads."""
    found = current.get()
    return Report() if found is None else found
