"""What a scorer is: a pydantic model with a `score` method, or a plain function."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, overload

from pydantic import BaseModel, ConfigDict, PrivateAttr

from app.scorers.policy import Policy

Call = Mapping[str, Any]
"""A logged call as scorers see it: `id, op_name, inputs, output, attributes, exception, ...`, all JSON."""

ScorerFunction = Callable[..., Any]

FunctionT = TypeVar("FunctionT", bound=ScorerFunction)


class Scorer(BaseModel):
    """Base of a scorer whose fields are its parameters.

    A subclass adds `score(self, *, output, ...)`, sync or async. Its arguments are filled by name: `output`, `input`,
    `inputs`, `call`, `attributes`, then keys of the call's inputs. It returns JSON, best an object with a boolean
    `passed` and/or a number `score`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str] = ""
    """The name under which the scorer is published; the class name if empty."""

    description: ClassVar[str] = ""
    """One sentence for lists of scorers; the first line of the docstring if empty."""

    policy: ClassVar[Policy] = Policy()
    """How it is run: attempts, time-out, limits, provider. Each can be overridden when the scorer is published."""

    asks: ClassVar[bool] = False
    """Whether every run calls its provider, after `await report().asking()`; the log then has it as the run starts."""

    def question(self, call: Call) -> str | None:
        """A digest of everything that the score depends on; calls with the same one may share it. None: none do."""
        return None

    inline_up_to: ClassVar[int] = 0
    """Characters of judged text up to which running on the event loop is cheap. Used for built-ins only."""


class BuiltIn(Scorer):
    """Base of the built-in scorers: code of bounded cost, which may run on the event loop."""

    def inline_limit(self) -> int:
        """`inline_up_to` for these parameters."""
        return self.inline_up_to

    def judged(self, call: Call) -> tuple[Any, ...]:
        """The values of the call whose size decides the cost."""
        return (call.get("output"),)


class FunctionScorer(Scorer):
    """A plain function as a scorer, which has no parameters."""

    _function: ScorerFunction = PrivateAttr()

    @classmethod
    def of(cls, function: ScorerFunction) -> "FunctionScorer":
        """Wrap `function`."""
        wrapped = cls()
        wrapped._function = function
        return wrapped


def target_of(scorer: BaseModel) -> ScorerFunction:
    """The function or bound method that scores."""
    if isinstance(scorer, FunctionScorer):
        return scorer._function
    target: ScorerFunction = scorer.score  # type: ignore[attr-defined]
    return target


@dataclass(frozen=True)
class ScorerMark:
    """What `@scorer` stores on a function."""

    kind: str
    description: str
    policy: Policy


_MARK = "__callscore_scorer__"
_AS_SET = Policy()


@overload
def scorer(function: FunctionT, /) -> FunctionT: ...
@overload
def scorer(*, kind: str = "", description: str = "", policy: Policy = ...) -> Callable[[FunctionT], FunctionT]: ...
def scorer(function: Any = None, /, *, kind: str = "", description: str = "", policy: Policy = _AS_SET) -> Any:
    """Mark a function as a scorer, so that the registry finds it. The function itself is unchanged.

    `kind` defaults to the function's name, `description` to the first line of its docstring, and `policy`, how it is
    run, to the settings.
    """

    def mark(marked: FunctionT) -> FunctionT:
        setattr(marked, _MARK, ScorerMark(kind, description, policy))
        return marked

    return mark if function is None else mark(function)


def mark_of(function: object) -> ScorerMark | None:
    """What `@scorer` stored on a function, or None."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, ScorerMark) else None
