"""A worker's folder: its own, and of one log."""

from pathlib import Path

import pytest

from app.instance import DATA_DIR_ID, LOG_ID, FolderUnusable, claim_instance, folders

HERE, THERE = "http://127.0.0.1:1", "http://127.0.0.1:2"


def test_a_worker_takes_the_folder_that_it_had_last(tmp_path: Path) -> None:
    first, second = claim_instance(tmp_path, HERE), claim_instance(tmp_path, THERE)
    assert (first.folder.name, second.folder.name) == ("instance-0", "instance-1")
    assert first.id != second.id
    first.lock.close()
    second.lock.close()
    again = claim_instance(tmp_path, THERE)
    assert (again.folder, again.id) == (second.folder, second.id)
    other = claim_instance(tmp_path, THERE)  # held: the next free one
    assert (other.folder, other.id) == (first.folder, first.id)
    again.lock.close()
    other.lock.close()


def test_of_several_folders_that_a_worker_had_it_takes_the_first_one(tmp_path: Path) -> None:
    held = [claim_instance(tmp_path, HERE) for _ in range(5)]
    for instance in held:
        instance.lock.close()
    assert claim_instance(tmp_path, HERE).folder.name == "instance-0"


def test_a_folder_that_was_put_aside_under_another_name_is_not_used_again(tmp_path: Path) -> None:
    instance = claim_instance(tmp_path, HERE)
    instance.lock.close()
    instance.folder.rename(tmp_path / "instance-0.bak")
    assert folders(tmp_path) == []
    anew = claim_instance(tmp_path, HERE)
    assert folders(tmp_path) == [anew.folder] == [tmp_path / "instance-0"]


def test_folders_of_two_machines_have_other_ids(tmp_path: Path) -> None:
    assert claim_instance(tmp_path / "a", HERE).id != claim_instance(tmp_path / "b", HERE).id


def test_tables_of_another_log_are_deleted(tmp_path: Path) -> None:
    instance = claim_instance(tmp_path, HERE)
    row = instance.tables / "scores-0.db"
    row.touch()
    assert not instance.use_for("first")  # as of a version that noted no log
    assert row.exists()
    assert instance.use_for("second")
    assert instance.tables.is_dir()
    assert not row.exists()
    row.touch()
    assert not instance.use_for("second")
    assert row.exists()
    (instance.folder / LOG_ID).write_text("")  # a write that was cut off
    assert instance.use_for("second")
    assert not row.exists()


@pytest.mark.parametrize("blocked", ["", "instance-0", "instance-0/lock/x", DATA_DIR_ID + "/x"])
def test_a_data_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path, blocked: str) -> None:
    data_dir = tmp_path / "data"
    path = data_dir / blocked
    if path.name == "x":
        path.mkdir(parents=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(FolderUnusable) as refused:
        claim_instance(data_dir, HERE)
    assert str(refused.value).startswith(f"The data folder {data_dir} cannot be used (")
    assert "\n" not in str(refused.value)
