"""Digests that make scorer refs immutable: the same code and parameters give the same digest in every process."""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType
from typing import Any

from pydantic import BaseModel

from app.scorers import base

_OURS: frozenset[type] = frozenset({base.Scorer, base.BuiltIn, base.FunctionScorer, BaseModel, object})


def canonical_params(scorer: BaseModel) -> dict[str, Any]:
    """All parameters as JSON values, defaults included, so that a later change of a default keeps old refs true."""
    return dict(sorted(scorer.model_dump(mode="json", by_alias=True).items()))


def code_digest(code: Callable[..., Any] | type) -> str:
    """40 hex characters over the source of a function, or of a class and its bases that are not ours or pydantic's."""
    if isinstance(code, type):
        sources = [_source(cls) for cls in code.__mro__ if cls not in _OURS and cls.__module__ != "builtins"]
    else:
        sources = [_source(code)]
    return _hash(sources)


def scorer_digest(kind: str, code: str, params: Mapping[str, Any]) -> str:
    """40 hex characters over the kind, the code's digest and the canonical parameters."""
    return _hash([kind, code, params])


def _hash(value: Any) -> str:
    encoded = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.blake2b(encoded, digest_size=20).hexdigest()


def _source(code: Callable[..., Any] | type) -> str:
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        # A frozen application or code typed at a prompt has no source file.
        return f"{code.__module__}.{code.__qualname__}:{_compiled(code)}"


def _compiled(code: Any) -> str:
    """A text of the bytecode. `marshal` will not do: its reference flags differ between processes."""
    if isinstance(code, type):
        members = sorted(vars(code).items())
        return repr([(name, _compiled(member)) for name, member in members if _code_object(member) is not None])
    found = _code_object(code)
    return "" if found is None else _code_text(found)


def _code_object(member: Any) -> CodeType | None:
    function = inspect.unwrap(member.__func__ if isinstance(member, staticmethod | classmethod) else member)
    return function.__code__ if isinstance(function, FunctionType) else None


def _code_text(code: CodeType) -> str:
    constants = [_constant_text(constant) for constant in code.co_consts]
    return repr((code.co_name, code.co_code.hex(), code.co_names, code.co_varnames, code.co_freevars, constants))


def _constant_text(constant: Any) -> str:
    if isinstance(constant, CodeType):
        return _code_text(constant)
    if isinstance(constant, frozenset):
        return f"frozenset({sorted(map(_constant_text, constant))})"
    if isinstance(constant, tuple):
        return f"({', '.join(map(_constant_text, constant))})"
    return repr(constant)
