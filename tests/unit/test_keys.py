"""The key file: what it takes in, whom it knows, and what it survives."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest

import app.keys
from app.keys import KeyFile, KeyFileError, add_key, list_keys, remove_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.jsonl"


def test_a_key_is_known_by_its_hash_only(path: Path) -> None:
    key = add_key(path, "ann", ["acme/*"])
    assert key.encode() not in path.read_bytes()
    assert hashlib.sha256(key.encode()).hexdigest().encode() in path.read_bytes()
    user = KeyFile(path).user_for(key)
    assert user is not None
    assert user.name == "ann"


def test_only_its_owner_can_read_the_file(path: Path) -> None:
    add_key(path, "ann", ["*"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_opens_the_projects_of_its_globs_only(path: Path) -> None:
    key = add_key(path, "ann", ["acme/*", "lab"])
    keys = KeyFile(path)
    user = keys.user_for(key)
    assert user is not None
    assert [user.may_use(project) for project in ("acme/flow", "acme", "lab", "lab2", "ACME/flow")] == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert not user.may_use_all()


def test_a_key_that_was_never_given_out_is_nobodys(path: Path) -> None:
    key = add_key(path, "ann", ["*"])
    keys = KeyFile(path)
    for wrong in ("", key[:-1], key + "x", key.upper(), "cs_\udc80"):
        assert keys.user_for(wrong) is None


def test_keys_that_are_added_or_taken_out_count_at_once(path: Path) -> None:
    first = add_key(path, "ann", ["*"])
    keys = KeyFile(path)
    second = add_key(path, "bob", ["*"])
    user = keys.user_for(second)
    assert user is not None
    assert user.name == "bob"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[1])
    assert keys.user_for(first) is None


def test_a_key_that_is_withdrawn_while_the_service_starts_is_withdrawn(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = add_key(path, "ann", ["*"])
    [known] = list_keys(path)

    def read_just_before(path: Path, read: Any = app.keys._read) -> Any:
        entries = read(path)
        monkeypatch.undo()
        remove_key(path, known.id)
        return entries

    os.utime(path, (1, 1))  # else the removal may have the same time: a file's clock ticks every few milliseconds
    monkeypatch.setattr(app.keys, "_read", read_just_before)
    assert KeyFile(path).user_for(key) is None


@pytest.mark.parametrize("broken", [b"{", b"[]", b'{"user": "x"}', b'{"user":"","projects":["*"],"sha256":"00"}'])
def test_a_file_that_broke_keeps_the_last_good_keys_and_says_why(
    path: Path, broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    key = add_key(path, "ann", ["*"])
    keys = KeyFile(path)
    path.write_bytes(path.read_bytes() + broken)
    assert keys.user_for(key) is not None
    assert "Line 2" in caplog.text
    path.unlink()
    assert keys.user_for(key) is not None


def test_a_file_that_is_broken_from_the_start_is_refused(path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        KeyFile(path)
    path.write_text("user = 1")
    with pytest.raises(KeyFileError, match="Line 1"):
        KeyFile(path)


def test_a_last_line_without_its_end_is_not_run_into(path: Path) -> None:
    first = add_key(path, "ann", ["*"])
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    second = add_key(path, "bob", ["*"])
    keys = KeyFile(path)
    assert keys.user_for(first)
    assert keys.user_for(second)


@pytest.mark.parametrize(("user", "projects"), [("", ["*"]), ("ann", []), ("ann", [""]), ("a\nb", ["*"])])
def test_a_user_or_glob_that_cannot_be_is_refused(path: Path, user: str, projects: list[str]) -> None:
    with pytest.raises(KeyFileError):
        add_key(path, user, projects)
    assert not path.exists()
