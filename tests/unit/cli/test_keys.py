"""callscore keys."""

from pathlib import Path

from app.keys import KeyFile

from .command import Command


async def test_an_added_key_is_printed_once_and_is_known(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    ended = await command("keys", "add", str(file), "--user", "ann", "--project", "acme/*")
    assert ended.code == 0
    user = KeyFile(file).user_for(ended.out.strip())
    assert user is not None
    assert user.may_use("acme/x")
    assert ended.out.strip() not in ended.err + file.read_text()


async def test_a_project_that_is_no_glob_and_no_project_is_warned_of(command: Command, tmp_path: Path) -> None:
    file = str(tmp_path / "keys")
    warned = await command("keys", "add", file, "--user", "ann", "--project", "noslash", "--project", "a/b")
    assert warned.code == 0
    assert "'noslash' matches no project" in warned.err
    assert "matches no project" not in (await command("keys", "add", file, "--user", "ann", "--project", "*")).err
