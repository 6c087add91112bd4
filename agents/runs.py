"""One attempt of a task, and what its outcome says of it."""

import time
from copy import deepcopy
from functools import lru_cache
from typing import Any

from app import ids
from app.scorers import BoundScorer, Report, Scorer, ScorerError
from app.spent import Spent
from tables import calls


class Run:
    """One attempt: what it is made with, what it tells, and how long it takes."""

    __slots__ = ("_lost", "_seconds", "_started", "asked", "bound", "call_row", "report")

    def __init__(self, bound: BoundScorer, call_row: calls.Row, lost: int = 0) -> None:
        """`lost` attempts before this one were cut off by a kill."""
        self.bound = bound
        self.call_row = call_row
        self.report = Report()
        self.asked = False  # anybody
        self._lost = lost
        self._started = time.perf_counter()
        self._seconds: float | None = None

    def question(self) -> str | None:
        """By what an earlier judgement may be used; None if none may."""
        scorer = self.bound.scorer
        if not self.bound.policy.cache or not isinstance(scorer, Scorer):
            return None
        try:
            question = scorer.question(deepcopy(self.call_row["call"]))  # which others read too
        except ScorerError:
            return None  # which the run says
        if question is not None:
            self.report.made_with(question=question)
        return question

    def end(self) -> None:
        """It took until now, however long its outcome has to wait for the log."""
        self._seconds = time.perf_counter() - self._started

    def lineage(self) -> dict[str, Any]:
        """What the score was made of, with and how; the place in the log is known to who reads it."""
        seconds = time.perf_counter() - self._started if self._seconds is None else self._seconds
        return {
            **made_of(self.bound, self.call_row),
            "latency_ms": round(seconds * 1000, 3),
            **self.report.lineage,
        }

    def spent(self) -> Spent | None:
        """What it took; None if nobody was asked."""
        return Spent.of(self.report, self._lost)


def made_of(bound: BoundScorer, call_row: calls.Row) -> dict[str, Any]:
    """What a score is made of, whether its scorer ran or not."""
    return {
        "scorer_kind": bound.kind,
        "scorer_digest": bound.digest,
        "input_digest": _digest_of_parts(**call_row["parts"]),
    }


@lru_cache(1024)
def _digest_of_parts(end: str, start: str | None = None) -> str:
    """One for all scorers of a call, which mostly come one behind the other."""
    return end if start is None else ids.digest(start, end)


def op_name(call: dict[str, object]) -> str | None:
    """The call's op name, as far as an event carries it."""
    name = call.get("op_name")
    return name[:512] if isinstance(name, str) else None
