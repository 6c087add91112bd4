"""Where a class or function is found again in another process."""

import importlib
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple


class CodeRef(NamedTuple):
    """A module and a name in it."""

    module: str
    qualname: str

    @classmethod
    def of(cls, code: Callable[..., Any] | type) -> "CodeRef":
        """Where `code` lives. Raises ValueError if another process would not find it there."""
        ref = cls(code.__module__, code.__qualname__)
        try:
            found = ref.load()
        except (ImportError, AttributeError):
            found = None
        if found is not code or ref.module == "__main__":
            raise ValueError(f"{ref.qualname} must be defined at the top of an importable module, not in {ref.module}.")
        return ref

    @property
    def package(self) -> str:
        """The package that the module is of, or the module itself."""
        return self.module.partition(".")[0]

    def load(self) -> Any:
        """The class or function. Raises what importing its module raises, or AttributeError."""
        return reduce(getattr, self.qualname.split("."), importlib.import_module(self.module))


class ScorerSource(NamedTuple):
    """What a worker process needs to make a scorer itself: its code's place and digest, its parameters as JSON."""

    code: CodeRef
    code_digest: str
    params: bytes
