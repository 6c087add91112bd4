import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from app.scorers import BoundScorer, Registry

Go = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def go(request: pytest.FixtureRequest) -> Go:
    """Runs a coroutine to its end, on either event loop."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(coroutine)

    return run


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The built-ins and the scorers of `sample_scorers`."""
    return Registry.load(["tests.unit.scorers.sample_scorers"])


@pytest.fixture(scope="session")
def bind(registry: Registry) -> Callable[..., BoundScorer]:
    """`bind(kind, **params)`."""

    def bind_kind(kind: str, **params: Any) -> BoundScorer:
        return registry.bind(kind, kind, params)

    return bind_kind


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """`write_module(name, source)` makes a module that can be imported during the test, in a package or not."""
    written: set[str] = set()

    def write(name: str, source: str) -> None:
        package, _, last = name.rpartition(".")
        if package:
            (tmp_path / package).mkdir(exist_ok=True)
            (tmp_path / package / "__init__.py").touch()
        written.update((package, name))
        (tmp_path / package / f"{last}.py").write_text(source)

    monkeypatch.syspath_prepend(tmp_path)
    yield write
    for name in written:
        sys.modules.pop(name, None)
