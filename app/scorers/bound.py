"""A scorer with its parameters, ready to run."""

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel

from app.scorers.arguments import Arguments
from app.scorers.base import BuiltIn, Call, Scorer, ScorerFunction
from app.scorers.code import CodeRef, ScorerSource
from app.scorers.policy import Policy
from app.scorers.sizes import is_at_most

_BUILTIN_PACKAGE = "app.scorers.builtin."

Mode = Literal["inline", "async", "process"]


@dataclass(frozen=True, eq=False)
class BoundScorer:
    """One published scorer. `params` are canonical: all of them, as JSON, sorted. `digest` is 40 hex characters."""

    ref: str
    name: str
    digest: str
    kind: str
    params: Mapping[str, Any]
    description: str
    scorer: BaseModel = field(repr=False)
    target: ScorerFunction = field(repr=False)
    arguments: Arguments = field(repr=False)
    code: CodeRef = field(repr=False)
    code_digest: str = field(repr=False)
    policy: Policy = field(default=Policy(), repr=False)
    project_id: str | None = None
    """The project that published it with this policy for itself; None if it is for all projects."""

    @cached_property
    def source(self) -> ScorerSource:
        """What a worker process needs to create this scorer."""
        return ScorerSource(self.code, self.code_digest, json.dumps(self.params).encode())

    @cached_property
    def package(self) -> str:
        """The package that its code is from."""
        return self.code.package

    @cached_property
    def mode(self) -> Mode:
        """`inline`: built-in, on the event loop while texts are small, else in a worker process; `async`: a coroutine
        in a host; `process`: always in a worker process."""
        if inspect.iscoroutinefunction(self.target):
            return "async"
        return "inline" if self.inline_up_to else "process"

    @cached_property
    def timeout(self) -> float:
        """Seconds after which an attempt is stopped. The policy must be complete."""
        assert self.policy.timeout is not None
        return self.policy.timeout

    @cached_property
    def asks(self) -> bool:
        """Whether every attempt calls a provider, which must be in the log before it does."""
        return isinstance(self.scorer, Scorer) and self.scorer.asks

    @cached_property
    def built_in(self) -> bool:
        """Whether it is a built-in, which calls no provider; a user's subclass of one is user code."""
        return type(self.scorer).__module__.startswith(_BUILTIN_PACKAGE)

    @cached_property
    def has_questions(self) -> bool:
        """Whether its judgements can be found by their questions, and so be used again."""
        return isinstance(self.scorer, Scorer) and type(self.scorer).question is not Scorer.question

    @cached_property
    def inline_up_to(self) -> int:
        """Characters of judged text up to which it may run on the event loop; 0 for user code."""
        return self.scorer.inline_limit() if isinstance(self.scorer, BuiltIn) and self.built_in else 0

    def inline_for(self, call: Call) -> bool:
        """Whether this call is small enough for `Runner.run_inline`."""
        if not isinstance(self.scorer, BuiltIn) or self.mode != "inline":
            return False
        return is_at_most(self.scorer.judged(call), self.inline_up_to)
