"""One attempt at a task, and what its event says of it."""

import time
from copy import deepcopy
from functools import lru_cache
from typing import Any

from app import ids
from app.scorers import BoundScorer, Report, Scorer, ScorerError
from app.usage import Usage
from tables import calls

_RESERVED = frozenset({"scorer_kind", "scorer_digest", "latency_ms", "question", "judged_for"})  # not for scorers


class Attempt:
    """What an attempt is made with, what its scorer reports, and how long it takes."""

    __slots__ = ("_cut_off", "_judgement", "_seconds", "_started", "asked", "bound", "call_row", "held_back", "report")

    def __init__(self, bound: BoundScorer, call_row: calls.Row, cut_off: int = 0) -> None:
        """`cut_off` requests of earlier attempts at the task were cut off by a kill."""
        self.bound = bound
        self.call_row = call_row
        self.report = Report()
        self.asked = False  # whether the log says that a request to a provider was about to be sent
        self.held_back = 0  # requests that wait until the log says that
        self._judgement: dict[str, Any] = {}  # what the lineage says of its question and of an answer used again
        self._cut_off = cut_off
        self._started = time.perf_counter()
        self._seconds: float | None = None

    def question(self) -> str | None:
        """The digest by which an earlier judgement may be used instead; None if none may."""
        scorer = self.bound.scorer
        if not self.bound.policy.cache or not isinstance(scorer, Scorer):
            return None
        try:
            question = scorer.question(deepcopy(self.call_row["call"]))  # other attempts read the call too
        except ScorerError:
            return None  # the scorer will raise it again when it runs
        if question is None:
            return None
        if not ids.is_digest(question):
            question = ids.digest(question)
        self._judgement["question"] = question
        return question

    def use_again(self, call_id: str, scorer_ref: str) -> None:
        """Say in the lineage for which call and scorer the answer was given that is used again."""
        self._judgement["judged_for"] = {"call_id": call_id, "scorer_ref": scorer_ref}

    def finish(self) -> None:
        """Stop the clock: that the outcome may have to wait for the log is not part of its latency."""
        self._seconds = time.perf_counter() - self._started

    @property
    def finished(self) -> bool:
        return self._seconds is not None

    def lineage(self) -> dict[str, Any]:
        """What the score was made of, with what, and how fast."""
        seconds = time.perf_counter() - self._started if self._seconds is None else self._seconds
        lineage = made_of(self.bound, self.call_row)
        lineage["latency_ms"] = round(seconds * 1000, 3)
        if self.report.lineage:
            lineage |= {name: value for name, value in self.report.lineage.items() if name not in _RESERVED}
        lineage |= self._judgement
        return lineage

    def description(self) -> dict[str, Any]:
        """What its event says of the call and of how the score was made."""
        return {"op_name": op_name(self.call_row["call"]), "lineage": self.lineage()}

    def usage(self) -> Usage | None:
        """What it used, with requests of earlier attempts that were cut off; None if nobody was asked."""
        return Usage.of(self.report, self._cut_off)


def made_of(bound: BoundScorer, call_row: calls.Row) -> dict[str, Any]:
    """The part of the lineage that is known without running the scorer."""
    return {
        "scorer_kind": bound.kind,
        "scorer_digest": bound.digest,
        "input_digest": _digest_of_parts(**call_row["parts"]),
    }


@lru_cache(1024)
def _digest_of_parts(end: str, start: str | None = None) -> str:
    """Cached because the scorers of a call mostly run one right after the other."""
    return end if start is None else ids.digest(start, end)


def op_name(call: dict[str, object]) -> str | None:
    """The call's op name, cut to what an event has room for."""
    name = call.get("op_name")
    return name[:512] if isinstance(name, str) else None
