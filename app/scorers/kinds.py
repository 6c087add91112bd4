"""A kind of scorer: the code, before its parameters are given."""

import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError

from app.scorers.arguments import Arguments
from app.scorers.base import FunctionScorer, ScorerFunction, mark_of, target_of
from app.scorers.bound import BoundScorer
from app.scorers.code import CodeRef
from app.scorers.digest import canonical_params, code_digest, scorer_digest
from app.scorers.policy import Policy
from app.scorers.refs import make_ref


class NotAScorer(ValueError):
    """The class or function cannot be a scorer; the message says why."""


@dataclass(frozen=True)
class Kind:
    """One class or function that can score, under its published name.

    `origin` is where it comes from, for messages. `params_schema` is the JSON Schema of its parameters.
    """

    name: str
    description: str
    origin: str
    params_schema: Mapping[str, Any]
    needs_parameters: bool
    code: str
    _model: type[BaseModel] = field(repr=False)
    _function: ScorerFunction | None = field(repr=False)

    @classmethod
    def of_model(cls, model: type[BaseModel], origin: str) -> "Kind":
        """The kind of a pydantic model with a `score` method. Raises NotAScorer."""
        score = getattr(model, "score", None)
        if not callable(score):
            raise NotAScorer(f"{model.__qualname__} has no method score(self, *, output, ...).")
        _check_place(model)
        _check_signature(model.__qualname__, score)
        try:
            schema = model.model_json_schema()
        except Exception as error:
            raise NotAScorer(f"The parameters of {model.__qualname__} have no JSON Schema: {error}") from error
        return cls(
            name=_class_text(model, "kind") or model.__name__,
            description=_class_text(model, "description") or _first_line(model.__doc__),
            origin=origin,
            params_schema=schema,
            needs_parameters=_needs_parameters(model),
            code=code_digest(model),
            _model=model,
            _function=None,
        )

    @classmethod
    def of_function(cls, function: ScorerFunction, origin: str) -> "Kind":
        """The kind of a plain function, which has no parameters. Raises NotAScorer."""
        _check_place(function)
        _check_signature(function.__qualname__, function)
        mark = mark_of(function)
        return cls(
            name=(mark.kind if mark else "") or function.__name__,
            description=(mark.description if mark else "") or _first_line(function.__doc__),
            origin=origin,
            params_schema=FunctionScorer.model_json_schema() | {"title": function.__name__, "description": ""},
            needs_parameters=False,
            code=code_digest(function),
            _model=FunctionScorer,
            _function=function,
        )

    @property
    def file(self) -> str | None:
        """The file that the code was imported from, if it is in one."""
        code = self._model if self._function is None else self._function
        return getattr(sys.modules.get(code.__module__), "__file__", None)

    def validate(self, params: Mapping[str, Any]) -> BaseModel:
        """The scorer with these parameters, usually a `Scorer`. Raises pydantic.ValidationError."""
        # Parameters are JSON, and only in JSON does a strict model take an array for a tuple.
        scorer = self._model.model_validate_json(json.dumps(params))
        return scorer if self._function is None else FunctionScorer.of(self._function)

    def bind(self, name: str, params: Mapping[str, Any]) -> BoundScorer:
        """The scorer, ready to run, published under `name`. Raises pydantic.ValidationError."""
        scorer = self.validate(params)
        canonical = canonical_params(scorer)
        digest = scorer_digest(self.name, self.code, canonical)
        target = target_of(scorer)
        return BoundScorer(
            ref=make_ref(name, digest),
            name=name,
            digest=digest,
            kind=self.name,
            params=canonical,
            description=self.description,
            scorer=scorer,
            target=target,
            arguments=Arguments.of(target),
            code=CodeRef.of(self._function or self._model),
            code_digest=self.code,
            policy=self._policy(scorer),
        )

    def _policy(self, scorer: BaseModel) -> Policy:
        """The policy that is set in the code; a parameter that happens to be called `policy` is none."""
        mark = mark_of(self._function)
        found = mark.policy if mark else getattr(scorer, "policy", None)
        return found if isinstance(found, Policy) else Policy()


def _check_place(code: ScorerFunction | type) -> None:
    try:
        CodeRef.of(code)
    except ValueError as error:
        raise NotAScorer(str(error)) from None


def _check_signature(name: str, function: ScorerFunction) -> None:
    try:
        Arguments.of(function)
    except (TypeError, ValueError) as error:
        raise NotAScorer(f"{name} cannot be called: {error}") from error


def _class_text(model: type[BaseModel], attribute: str) -> str:
    # A field of that name has no class attribute, and a parent's name is not the child's.
    found = vars(model).get(attribute, "")
    return found if isinstance(found, str) else ""


def _first_line(doc: str | None) -> str:
    return inspect.cleandoc(doc).partition("\n")[0] if doc else ""


def _needs_parameters(model: type[BaseModel]) -> bool:
    try:
        model.model_validate_json("{}")
    except ValidationError:
        return True
    return False
