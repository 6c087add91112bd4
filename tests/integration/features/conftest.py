"""A service whose scorer `gated` does as a file says, so that tests decide when tasks end, and how."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.service import Service


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file for calls whose output is its path; it says that they wait."""
    path = tmp_path / "gate"
    path.write_text("wait")
    return path


@pytest.fixture
def gated(make_service: Callable[..., Service]) -> Service:
    settings = {"scorers": "tests.gated_scorers,tests.plugin_scorers", "scorer_attempts": 1, "scorer_concurrency": 20}
    return make_service(**settings).start()
