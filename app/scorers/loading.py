"""The function of a scorer, loaded in another process than the service's: a host, or a worker process."""

import os
import sys
from typing import NamedTuple

from pydantic import BaseModel

from app.scorers.base import FunctionScorer, ScorerFunction, target_of
from app.scorers.code import ScorerSource
from app.scorers.digest import code_digest
from app.scorers.errors import ScorerError, ScorerRaised, ScorerVersionUnavailable

_KEPT_SCORERS = 256


class _Refused(NamedTuple):
    """The scorers that a module has in another version, as long as its file stays the same."""

    file: tuple[int, int] | None
    sources: set[ScorerSource]


_targets: dict[ScorerSource, ScorerFunction] = {}
_refused: dict[str, _Refused] = {}  # by module


def target_or_error(source: ScorerSource) -> ScorerFunction | ScorerError:
    """The function to call; or the error with which all runs of the scorer end, because it cannot be loaded."""
    try:
        return target_of_source(source)
    except ScorerError as error:
        return error
    except BaseException as error:
        return ScorerRaised.of(error)


def target_of_source(source: ScorerSource) -> ScorerFunction:
    """The function to call for a scorer, made once. Raises ScorerVersionUnavailable, or whatever its module raises."""
    target = _targets.get(source)
    if target is None:
        if len(_targets) >= _KEPT_SCORERS:
            _targets.clear()
        target = _targets[source] = _load(source)
    return target


def _load(source: ScorerSource) -> ScorerFunction:
    module = source.code.module
    refused = _refused.get(module)
    if refused is not None and _file_of(module) not in (None, refused.file):
        # Its file has changed, perhaps back to the right version: import it again. Not for each run, since that may
        # take long, and some modules cannot be imported twice.
        del _refused[module], sys.modules[module]
    elif refused is not None and source in refused.sources:
        raise _another_version(source)
    code = source.code.load()
    file = _file_of(module)
    if code_digest(code) != source.code_digest:
        _refused.setdefault(module, _Refused(file, set())).sources.add(source)
        raise _another_version(source)
    if not isinstance(code, type):
        return target_of(FunctionScorer.of(code))
    if not issubclass(code, BaseModel):
        raise TypeError(f"{source.code.qualname} is no longer a scorer.")
    return target_of(code.model_validate_json(source.params))


def _file_of(module: str) -> tuple[int, int] | None:
    """When the file of an imported module was changed last, and its size; None if there is none."""
    origin = getattr(getattr(sys.modules.get(module), "__spec__", None), "origin", None)
    try:
        found = os.stat(origin or "")
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _another_version(source: ScorerSource) -> ScorerVersionUnavailable:
    return ScorerVersionUnavailable(
        f"The source of {source.code.qualname} in {source.code.module} changed after the service started. "
        "Restart it to publish and run the new version."
    )
