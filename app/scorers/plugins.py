"""Finding scorers: built in, installed, or in modules named by settings."""

import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from app.scorers.base import mark_of
from app.scorers.kinds import Kind

ENTRY_POINT_GROUP = "callscore.scorers"

_BUILTIN = "app.scorers.builtin"


def builtin_kinds() -> list[Kind]:
    """The kinds that come with callscore."""
    module = importlib.import_module(_BUILTIN)
    return [Kind.of_model(getattr(module, name), "callscore") for name in module.__all__]


def installed_kinds(problems: list[str]) -> list[Kind]:
    """The kinds of installed packages; an entry point names a module, a class or a function."""
    kinds: list[Kind] = []
    for point in entry_points(group=ENTRY_POINT_GROUP):
        origin = f"the entry point {point.name!r} ({point.value})"
        try:
            found = point.load()
        except (Exception, SystemExit) as error:
            problems.append(f"{_capital(origin)} was left out: it does not load: {_words(error)}")
            continue
        objects = list(_of_module(found)) if isinstance(found, ModuleType) else [found]
        kinds.extend(_kinds_of(objects, origin, problems))
    return kinds


def module_kinds(name: str, problems: list[str]) -> list[Kind]:
    """The kinds of one module: its public scorer classes, and its functions marked `@scorer` or in `__all__`."""
    _reach_current_directory()
    origin = f"the module {name!r}"
    if name.endswith(".py"):
        problems.append(f"{_capital(origin)} was left out: leave off `.py`, modules are named as in an import.")
        return []
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        problems.append(f"{_capital(origin)} was left out: it does not import: {_words(error)}")
        return []
    objects = list(_of_module(module))
    if not objects:
        problems.append(f"{_capital(origin)} has no scorer: {_lacks(module)}.")
    return _kinds_of(objects, origin, problems)


def _reach_current_directory() -> None:
    """Console scripts do not look for modules there. Worker processes get the same path."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)


def _lacks(module: ModuleType) -> str:
    """What a module lacks to have a scorer."""
    for name, value in vars(module).items():
        if inspect.isclass(value) and _is_defined_in(value, module) and callable(getattr(value, "score", None)):
            if issubclass(value, BaseModel):
                return f"its class {name} has `score`, but a name that begins with `_`"
            return f"its class {name} has `score`, but is no pydantic model: derive it from `app.scorers.Scorer`"
    return "no public pydantic model with `score`, no function with `@scorer`"


def _of_module(module: ModuleType) -> Iterator[Any]:
    listed = getattr(module, "__all__", ())
    for name, value in vars(module).items():
        own = name in listed or (not name.startswith("_") and _is_defined_in(value, module))
        if not own:
            continue
        if inspect.isclass(value):
            if issubclass(value, BaseModel) and callable(getattr(value, "score", None)):
                yield value
        elif inspect.isfunction(value) and (name in listed or mark_of(value)):
            yield value


def _is_defined_in(value: Any, module: ModuleType) -> bool:
    origin = getattr(value, "__module__", None) or ""
    return origin == module.__name__ or origin.startswith(f"{module.__name__}.")


def _kinds_of(objects: list[Any], origin: str, problems: list[str]) -> list[Kind]:
    kinds: list[Kind] = []
    for value in objects:
        try:
            kinds.append(_kind_of(value, origin))
        except Exception as error:
            problems.append(f"{getattr(value, '__qualname__', value)!s} of {origin} was left out: {_words(error)}")
    return kinds


def _kind_of(value: Any, origin: str) -> Kind:
    if inspect.isclass(value) and issubclass(value, BaseModel):
        return Kind.of_model(value, origin)
    if inspect.isfunction(value):
        return Kind.of_function(value, origin)
    raise TypeError("a scorer is a function or a pydantic model with a `score` method.")


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:500]}"
