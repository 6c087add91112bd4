"""Tables of their own for unit tests: real stores, without a log behind them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.faust_app import app
from tables import calls, rules, scores
from tables.base import tables


@pytest.fixture
def table_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where all tables lie during the test."""
    monkeypatch.setattr(app, "table_dir", tmp_path)
    yield tmp_path
    for table in tables:
        table.close()


@pytest.fixture
def bare_tables(table_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Empty tables without a changelog, of which nothing is remembered."""
    for table in tables:
        monkeypatch.setattr(table, "has_changelog", False)
    _forget()
    yield
    _forget()


def _forget() -> None:
    calls.forget_recent()
    rules.forget()
    scores.forget_missing()
