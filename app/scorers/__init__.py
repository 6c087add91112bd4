"""What can be applied to a call. Scorer authors need `Scorer`, `scorer`, and perhaps `Policy`, `MissingInput` and
`RetryLater` from here."""

from app.scorers.base import Call, Scorer, scorer
from app.scorers.bound import BoundScorer
from app.scorers.errors import (
    InvalidOutput,
    MissingInput,
    NoJudgement,
    RequestHeldBack,
    RetryLater,
    ScorerDied,
    ScorerError,
    ScorerRaised,
    ScorerTimeout,
    ScorerVersionUnavailable,
)
from app.scorers.failures import Failure
from app.scorers.policy import Policy
from app.scorers.refs import BadRef, ScorerKey, ScorerRef, parse_ref, scorer_name
from app.scorers.registry import Registry, UnknownKind
from app.scorers.report import MOST_TOKENS, Outcome, Report, report
from app.scorers.runner import Runner

__all__ = [
    "MOST_TOKENS",
    "BadRef",
    "BoundScorer",
    "Call",
    "Failure",
    "InvalidOutput",
    "MissingInput",
    "NoJudgement",
    "Outcome",
    "Policy",
    "Registry",
    "Report",
    "RequestHeldBack",
    "RetryLater",
    "Runner",
    "Scorer",
    "ScorerDied",
    "ScorerError",
    "ScorerKey",
    "ScorerRaised",
    "ScorerRef",
    "ScorerTimeout",
    "ScorerVersionUnavailable",
    "UnknownKind",
    "parse_ref",
    "report",
    "scorer",
    "scorer_name",
]
