"""A worker needs more open files than some shells allow: it raises its limit, or says what is needed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.service import Service

# The limit of a shell on macOS, as the soft one, which a process may raise, or as the hard one.
FEW = "ulimit {} 256 && exec {} worker"


@pytest.fixture
def limited(tmp_path: Path) -> Callable[[str], Service]:
    def make(which: str) -> Service:
        service = Service(tmp_path / "data", partitions=8)
        service.command = ("sh", "-c", FEW.format(which, Service.command[0]))
        return service

    return make


def test_a_worker_starts_where_the_shell_allows_few_files(limited: Callable[[str], Service]) -> None:
    service = limited("-Sn")
    try:
        service.start()
        assert len(list(Path(f"/proc/{service.pid}/fd").iterdir())) > 256
    finally:
        service.kill()


def test_a_worker_that_may_not_open_enough_files_says_how_many_it_needs(limited: Callable[[str], Service]) -> None:
    service = limited("-n")
    service.spawn()
    assert service.wait_ended() == 2
    [line] = [line for line in service.log().splitlines() if line.startswith("Error")]
    assert line.startswith("Error: this process may have 256 files open, and needs 820 to begin with for its tables")
    assert "Traceback" not in service.log()
