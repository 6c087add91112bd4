"""Every kind of scorer that this process knows."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol, Self

from app.scorers.bound import BoundScorer
from app.scorers.errors import ScorerVersionUnavailable
from app.scorers.kinds import Kind
from app.scorers.plugins import builtin_kinds, installed_kinds, module_kinds
from app.scorers.refs import parse_ref


class Published(Protocol):
    """A published version of a scorer; `source` is the Weave object that it was made from, if any."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def params(self) -> dict[str, Any]: ...
    @property
    def source(self) -> dict[str, Any] | None: ...


class UnknownKind(LookupError):
    """No such kind of scorer; the message lists the kinds there are."""


class Registry:
    """The kinds by name: built-ins, those installed as `callscore.scorers` entry points, those of named modules.

    `problems` has a sentence for everything that was left out: a module that does not import, a class that is no
    scorer, a kind whose name is taken (the first keeps it, in the order above).
    """

    def __init__(self, kinds: Iterable[Kind] = (), problems: Iterable[str] = ()) -> None:
        self._kinds: dict[str, Kind] = {}
        self._made_at = time.time()
        self.problems: list[str] = list(problems)
        for kind in kinds:
            self._add(kind)

    @classmethod
    def load(cls, modules: Sequence[str] = ()) -> Self:
        """Find everything. Modules may be in the current directory. Never raises for a bad plugin."""
        problems: list[str] = []
        kinds = [*builtin_kinds(), *installed_kinds(problems)]
        for module in modules:
            kinds.extend(module_kinds(module, problems))
        return cls(kinds, problems)

    def kinds(self) -> dict[str, Kind]:
        """All kinds by name."""
        return dict(self._kinds)

    def is_saved_since(self, kind: str) -> bool:
        """Whether the file of a kind was saved after this registry was made, so that newer code may be in it."""
        try:
            return os.stat(self._kinds[kind].file or "").st_mtime > self._made_at
        except (KeyError, OSError):  # no such kind, or no such file any more
            return False

    def bind(self, name: str, kind: str, params: Mapping[str, Any]) -> BoundScorer:
        """A scorer ready to run. Raises UnknownKind, pydantic.ValidationError, or BadRef if `name` fits no ref."""
        found = self._kinds.get(kind)
        if found is None:
            raise UnknownKind(f"There is no kind of scorer {kind!r}; there are: {', '.join(sorted(self._kinds))}.")
        bound = found.bind(name, params)
        parse_ref(bound.ref)
        return bound

    def bind_published(self, ref: str, version: Published) -> BoundScorer:
        """The scorer of a published version, ready to run.

        Raises ScorerVersionUnavailable if the code here is of another version; otherwise as `bind`.
        """
        bound = self.bind(version.name, version.kind, version.params)
        if version.source is not None:  # Weave's digest is of its object, not of the code here
            return replace(bound, ref=ref)
        if bound.ref != ref:
            raise ScorerVersionUnavailable(f"The code of kind {version.kind} here is another version than {ref}.")
        return bound

    def parameterless(self) -> list[BoundScorer]:
        """Those that can be used without being published; their name is their kind."""
        return list(self._parameterless)

    @cached_property
    def _parameterless(self) -> list[BoundScorer]:
        return [self.bind(kind.name, kind.name, {}) for kind in self._kinds.values() if not kind.needs_parameters]

    def _add(self, kind: Kind) -> None:
        taken = self._kinds.get(kind.name)
        if taken is not None:
            self.problems.append(
                f"The scorer kind {kind.name!r} of {kind.origin} was left out: {taken.origin} has that name already. "
                "Give one of them another `kind`."
            )
            return
        self._kinds[kind.name] = kind
