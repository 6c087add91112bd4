"""Tables of their own for unit tests: real stores, without a log behind them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.faust_app import app
from tables.base import forget_rows


@pytest.fixture
def table_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where all tables lie during the test; nothing is remembered of others."""
    monkeypatch.setattr(app, "table_dir", tmp_path)
    forget_rows()
    yield tmp_path
    for table in app.tables.values():
        table.close()


@pytest.fixture
def bare_tables(table_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty tables without a changelog."""
    for table in app.tables.values():
        monkeypatch.setattr(table, "has_changelog", False)
