"""How a worker divides the files that it may have open."""

import pytest

from app import open_files


@pytest.mark.parametrize("limit", [20_000, 65_536])
@pytest.mark.parametrize("databases", [15, 120, 240])
def test_however_many_files_the_tables_have_some_can_be_opened_for_connections_and_the_log(
    monkeypatch: pytest.MonkeyPatch, limit: int, databases: int
) -> None:
    monkeypatch.setattr(open_files, "limit", lambda: limit)
    left = limit - databases * open_files.of_each(databases)
    assert left >= open_files.of_log() + 1_000


@pytest.mark.parametrize("limit", [256, 1_024])
def test_a_log_of_any_size_leaves_most_of_few_files_to_others(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(open_files, "limit", lambda: limit)
    assert open_files.of_log() <= limit // 4


@pytest.mark.parametrize("limit", [820, 1_024, 20_000, 65_536])
def test_connections_leave_files_to_the_log_and_the_tables_wherever_there_are_any(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(open_files, "limit", lambda: limit)
    most = open_files.of_connections(120)
    assert most >= 820
    assert limit - most >= min(512, (limit - 820) // 2)
