"""Which exit code tells a supervisor that a log cannot be used, and whether to start the worker again."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from agents.background import Background
from app import faust_app
from app.embedded.errors import LogBlockCorrupt, LogFailed, LogUnsynced
from app.exits import EXIT_HOPELESS, EXIT_STUCK, EXIT_UNSYNCED


class Ended(Exception):
    """The worker has ended with this code."""


@pytest.fixture(autouse=True)
def ending(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(code: int) -> NoReturn:
        raise Ended(code)

    monkeypatch.setattr(faust_app, "die", die)


@pytest.mark.parametrize(("kind", "code"), [(LogBlockCorrupt, EXIT_HOPELESS), (LogUnsynced, EXIT_UNSYNCED)])
def test_a_write_that_finds_damage_or_cannot_be_synced_ends_the_worker_by_its_code(
    kind: type[LogFailed], code: int
) -> None:
    with pytest.raises(Ended) as ended:
        faust_app.app.on_halt(kind(Path("log"), "of this test"))
    assert ended.value.args == (code,)


def test_a_log_that_cannot_be_read_but_is_not_known_to_be_damaged_has_the_worker_started_again() -> None:
    with pytest.raises(Ended) as ended:
        faust_app.app.on_unreadable("of this test")
    assert ended.value.args == (EXIT_STUCK,)


@pytest.mark.parametrize("failure", [None, LogFailed(Path("log"), "of this test")])
async def test_work_that_fails_ends_the_worker_unless_nothing_can_be_written(
    monkeypatch: pytest.MonkeyPatch, failure: LogFailed | None
) -> None:
    async def work() -> None:
        raise LookupError

    monkeypatch.setattr(faust_app.CallscoreApp, "producer", SimpleNamespace(failed=failure))
    background = Background("cannot do this test")
    with pytest.raises(Ended) if failure is None else nullcontext() as ended:
        await background.spawn(work())
    assert ended is None or ended.value.args == (EXIT_STUCK,)
