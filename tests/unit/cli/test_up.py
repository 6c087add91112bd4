"""The command against the real service, which it starts itself."""

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.client.http import Client, Service

from .command import Command


@pytest.fixture
async def up(command: Command, nobody: str, tmp_path: Path) -> AsyncIterator[Command]:
    """The service, up on an empty log."""
    command.env |= {
        "CALLSCORE_URL": nobody,
        "CALLSCORE_WEB_PORT": nobody.rpartition(":")[2],
        "CALLSCORE_DATA_DIR": str(tmp_path / "data"),
    }
    process = await command.start("up")
    async with Client(Service(nobody)) as client:
        await client.until_ready(60)
    yield command
    process.send_signal(signal.SIGINT)
    await command.end(process)


async def sample_shown(command: Command) -> tuple[int, list[str]]:
    """Run `up --sample` until it has shown how to go on, then Ctrl-C: the exit code and the lines of the table."""
    process = await command.start("up", "--sample")
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(90):
        while not lines or not lines[-1].startswith("In a browser"):
            line = await process.stdout.readline()
            assert line, (await command.end(process)).err
            lines.append(line.decode())
    process.send_signal(signal.SIGINT)
    ended = await command.end(process)
    start = next(number for number, line in enumerate(lines) if line.startswith("SCORER"))
    assert any("800 tasks: 800 succeeded" in line for line in lines)
    return ended.code, lines[start : start + 5]


async def test_make_run_twice_shows_the_same_scores(command: Command, nobody: str, tmp_path: Path) -> None:
    command.env |= {"CALLSCORE_WEB_PORT": nobody.rpartition(":")[2], "CALLSCORE_DATA_DIR": str(tmp_path / "data")}
    first = await sample_shown(command)
    assert first[0] == 0
    assert len(first[1]) == 5
    assert await sample_shown(command) == first


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_stop_while_it_starts_is_an_orderly_one(
    command: Command, nobody: str, tmp_path: Path, number: signal.Signals
) -> None:
    command.env |= {"CALLSCORE_WEB_PORT": nobody.rpartition(":")[2], "CALLSCORE_DATA_DIR": str(tmp_path / "data")}
    process = await command.start("up")
    assert process.stdout is not None
    assert b"Press Ctrl-C" in await process.stdout.readline()
    process.send_signal(number)
    ended = await command.end(process)
    assert (ended.code, ended.err) == (0, "")


@pytest.fixture
def nobody_on_ipv6(nobody: str) -> str:
    """A URL where nothing answers, with an IPv6 address if this machine has one."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return nobody.replace("127.0.0.1", "[::1]")
    except OSError:
        return nobody


async def test_it_says_when_it_is_ready_and_what_is_no_setting(
    command: Command, nobody_on_ipv6: str, tmp_path: Path
) -> None:
    nobody = nobody_on_ipv6
    command.env |= {
        "CALLSCORE_WEB_HOST": "::1" if "[::1]" in nobody else "127.0.0.1",
        "CALLSCORE_WEB_PORT": nobody.rpartition(":")[2],
        "CALLSCORE_DATA_DIR": str(tmp_path / "data"),
        "CALLSCORE_SCORRERS": "mine",
        "CALLSCORE_TEST_OF_OURS": "1",
    }
    process = await command.start("up")
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(90):
        while not lines or not lines[-1].startswith("callscore is ready"):
            lines.append((await process.stdout.readline()).decode())
    async with Client(Service(nobody)) as client:
        assert await client.get("/readyz")
    process.send_signal(signal.SIGINT)
    await command.end(process)
    assert lines[-1] == f"callscore is ready: {nobody}\n"
    told = [line for line in lines if "is not a setting" in line]
    assert told == ["CALLSCORE_SCORRERS is not a setting and is ignored. Did you mean CALLSCORE_SCORERS?\n"]


async def test_what_goes_without_a_key_is_said_and_the_sample_is_skipped(
    command: Command, nobody: str, tmp_path: Path
) -> None:
    added = await command("keys", "add", str(tmp_path / "keys"), "--user", "ann", "--project", "*")
    (tmp_path / "providers").write_text('[mine]\nbase_url = "http://127.0.0.1:1"\nkey = "KEY_OF_MINE"\n')
    command.env |= {
        "CALLSCORE_WEB_PORT": nobody.rpartition(":")[2],
        "CALLSCORE_DATA_DIR": str(tmp_path / "data"),
        "CALLSCORE_API_KEYS": str(tmp_path / "keys"),
        "CALLSCORE_PROVIDERS": str(tmp_path / "providers"),
    }
    process = await command.start("up", "--sample")
    async with Client(Service(nobody, added.out.strip())) as client:
        await client.until_ready(60)
        assert [call async for call in client.items("/calls", {"project_id": "callscore/sample"})] == []
    process.send_signal(signal.SIGINT)
    ended = await command.end(process)
    told = "Skipping the sample: it needs an API key in CALLSCORE_API_KEY."
    assert told in ended.out.splitlines()
    assert "The provider mine is used without a key until KEY_OF_MINE is set." in ended.out
    # A start that takes long, as on a busy machine, says so.
    assert [line for line in ended.err.splitlines() if "not ready" not in line] == []


async def test_own_calls_are_imported_scored_and_read_back(up: Command, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(json.dumps({"q": number, "output": "x" * (number % 2)}) + "\n" for number in range(500)))
    assert (await up("calls", "import", str(path), "--project", "me/mine")).code == 0
    same = ("calls", "import", str(path), "--project", "me/mine", "--restart")
    again = await up(*same)
    assert (again.code, again.err) == (0, "")
    other = await up(*same, "--attribute", "q")
    assert other.code == 1
    assert "Some of these calls already existed with different content, which was kept. " in other.err
    published = await up("scorers", "publish", "has_x", "--kind", "contains", "--param", "text=x")
    assert published.out.startswith("callscore:///scorer/has_x:")
    submitted = await up("submit", "--project", "me/mine", "--scorer", "not_empty", "--scorer", "has_x")
    assert submitted.code == 0, submitted.err
    assert submitted.out.startswith("1,000 tasks: 1,000 succeeded in")
    read = await up("scores", "--project", "me/mine", "--scorer", "has_x", "--json")
    assert [json.loads(line)["output"]["passed"] for line in read.out.splitlines()].count(True) == 250
    again = await up("submit", "--project", "me/mine", "--scorer", "not_empty", "--scorer", "has_x")
    assert again.out.startswith("1,000 tasks: 1,000 succeeded (1,000 reused) in")
    scored = json.loads(read.out.splitlines()[0])
    shown = json.loads((await up("calls", "show", scored["call_id"], "--project", "me/mine")).out)
    assert (shown["id"], "x" in shown["output"]) == (scored["call_id"], scored["output"]["passed"])
    missing = await up("calls", "show", "none", "--project", "me/mine")
    assert (missing.code, missing.err) == (1, "The project me/mine has no call 'none', or the call has not ended.\n")
    several = await up("calls", "list", "--project", "me/mine", "--limit", "3")
    assert [line.split()[:3] for line in several.out.splitlines()[1:]] == [
        [score["call_id"], "imported", "-"] for score in map(json.loads, read.out.splitlines()[:3])
    ]
    assert several.err == "Only the first 3 are shown. Use --limit N for more, --json for all.\n"
    every = await up("calls", "list", "--project", "me/mine", "--json")
    assert len(every.out.splitlines()) == 500
    assert json.loads(every.out.splitlines()[0]) == shown
    listed = await up("scores", "--project", "me/mine", "--gaps", "--scorer", "refusal", "--limit", "3")
    assert "Only the first 3 are shown. Use --limit N for more, --json for all.\n" in listed.err


async def test_calls_that_never_come_can_be_submitted_and_seen(up: Command) -> None:
    submitted = await up("submit", "--project", "me/mine", "--scorer", "refusal", "--no-wait", "unknown")
    assert submitted.code == 0
    shown = json.loads((await up("status", submitted.out.strip(), "--json")).out)
    assert (shown["status"], shown["tasks"]["total"]) == ("running", 1)


async def test_a_bad_parameter_and_an_unknown_request_are_one_sentence(up: Command) -> None:
    published = await up("scorers", "publish", "s", "--kind", "length", "--param", "min=many")
    assert published.code == 2
    assert "--param min: " in published.err
    assert " length has the parameters: min (" in published.err
    unknown = await up("status", "no-such-request")
    assert (unknown.code, unknown.err.count("\n")) == (1, 1)
    assert "has no such request (or your key may not see it)" in unknown.err
    reason = await up("dead-letters", "list", "--reason", "nonsense")
    assert (reason.code, reason.err.count("\n")) == (2, 1)
    assert "--reason: " in reason.err
