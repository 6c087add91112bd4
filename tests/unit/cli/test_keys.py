"""callscore keys."""

import json
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


async def test_a_withdrawn_key_is_refused_at_once_and_the_others_stay(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    add = ("keys", "add", str(file), "--project", "acme/*", "--user")
    ann, bob = [(await command(*add, user)).out.strip() for user in ("ann", "bob")]
    keys = KeyFile(file)
    listed = [line.split() for line in (await command("keys", "list", str(file))).out.splitlines()]
    assert [row[1:] for row in listed] == [["USER", "PROJECTS"], ["ann", "acme/*"], ["bob", "acme/*"]]
    removed = await command("keys", "remove", str(file), listed[1][0])
    assert (removed.code, removed.out) == (0, f"The key {listed[1][0]} of ann is withdrawn.\n")
    assert keys.user_for(ann) is None
    assert keys.user_for(bob) is not None
    eve = (await command(*add, "eve")).out.strip()
    assert keys.user_for(eve) is not None
    [*_, shown] = (await command("keys", "list", str(file), "--json")).out.splitlines()
    assert json.loads(shown)["user"] == "eve"
    assert file.stat().st_mode & 0o777 == 0o600
    again = await command("keys", "remove", str(file), listed[1][0])
    assert (again.code, again.err) == (1, f"The key file {file} has no key '{listed[1][0]}'.\n")
