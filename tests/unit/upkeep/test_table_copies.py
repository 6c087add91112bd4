"""Which tables are taken for those of a stopped service, and which row of two folders is the first that differs."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from app.client.errors import CommandError
from app.settings import Settings
from app.upkeep import stores, table_copies
from app.upkeep.stores import Store

SCORES = Store("scores", 3)
TASKS = Store("tasks", 3)


def make(store: Store, directory: Path, rows: Mapping[bytes, bytes], changelog: int | None = None) -> None:
    with stores.making(store, directory) as put:
        for key, value in rows.items():
            put(key, value)
        if changelog is not None:
            put(stores.OFFSET_KEY, str(changelog).encode())


def test_of_a_partition_that_two_workers_had_the_one_that_is_farther_is_taken(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    make(SCORES, settings.data_dir / "instance-0" / "tables", {b"a": b"old"}, 7)
    make(SCORES, settings.data_dir / "instance-1" / "tables", {b"a": b"new"}, 9)
    make(Store("scores", 4), settings.data_dir / "instance-0" / "tables", {b"b": b"only"}, 2)
    table_copies.copy_stopped(settings, tmp_path / "copy")
    assert stores.stores_in(tmp_path / "copy") == [SCORES, Store("scores", 4)]
    make(SCORES, tmp_path / "other", {b"a": b"new"})
    make(Store("scores", 4), tmp_path / "other", {b"b": b"only"})
    assert stores.compare(tmp_path / "copy", tmp_path / "other").difference is None


def test_a_damaged_table_is_told_in_one_sentence_and_not_compared_as_a_shorter_one(tmp_path: Path) -> None:
    for folder in ("ours", "theirs"):
        make(SCORES, tmp_path / folder, {b"%04d" % number: bytes(200) for number in range(200)})
    for path in SCORES.path(tmp_path / "ours").glob("*.sst"):
        path.write_bytes(b"\1" + path.read_bytes()[1:])
    with (
        pytest.raises(CommandError, match=r"A table is damaged \(Corruption: .*Delete the tables"),
        stores.damage_as_command_error(),
    ):
        stores.compare(tmp_path / "ours", tmp_path / "theirs")


def test_without_tables_there_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There are no tables in"):
        table_copies.copy_stopped(Settings(data_dir=tmp_path), tmp_path / "copy")


@pytest.mark.parametrize(
    ("ours", "theirs", "first"),
    [
        ({b"a": b"1", b"b": b"2"}, {b"a": b"1", b"b": b"2"}, None),
        ({b"a": b"1", b"b": b"2"}, {b"a": b"1", b"b": b"3"}, (b"b", b"2", b"3")),
        ({b"a": b"1", b"c": b"2"}, {b"a": b"1", b"b": b"3", b"c": b"2"}, (b"b", None, b"3")),
        ({b"a": b"1", b"b": b"2"}, {b"b": b"2"}, (b"a", b"1", None)),
        ({b"a": b"1"}, {}, (b"a", b"1", None)),
        ({}, {b"z": b"1"}, (b"z", None, b"1")),
    ],
)
def test_the_first_row_that_is_not_the_same_is_found(
    tmp_path: Path, ours: dict[bytes, bytes], theirs: dict[bytes, bytes], first: tuple[bytes, bytes, bytes] | None
) -> None:
    make(SCORES, tmp_path / "ours", ours, changelog=5)
    make(SCORES, tmp_path / "theirs", theirs)
    make(TASKS, tmp_path / "ours", {b"parked": b"1"})
    found = stores.compare(tmp_path / "ours", tmp_path / "theirs").difference
    assert (None if found is None else found[1:]) == first
