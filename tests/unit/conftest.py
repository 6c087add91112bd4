"""Tables of their own for unit tests: real stores, without a log behind them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.faust_app import app
from tables.base import tables


@pytest.fixture
def table_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where all tables lie during the test."""
    monkeypatch.setattr(app, "table_dir", tmp_path)
    yield tmp_path
    for table in tables:
        table.close()
