import asyncio
import os
import pty
import signal
import sys
import time

import click
import pytest

from app.cli import cli
from app.client import patience
from app.client.errors import Refused, Unreachable
from app.client.http import Client, Service

from .command import Command
from .fake_service import REFUSAL, Answer, FakeService, problem


async def test_when_nothing_answers_it_says_how_to_start_the_service(command: Command, nobody: str) -> None:
    for arguments in (["status"], ["scores", "--project", "a/b"], ["submit", "--project", "a/b", "--scorer", "x"]):
        ended = await command(*arguments, "--url", nobody)
        expected = f"No callscore service answers at {nobody}; start one with: callscore up\n"
        assert (ended.code, ended.out, ended.err) == (1, "", expected)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (problem(401, "no key"), "requires an API key; set CALLSCORE_API_KEY or use --api-key."),
        (problem(403, "not yours"), "does not allow that: not yours."),
        (problem(404, "Request not found", "path"), "has no such request (or your key may not see it)."),
        (problem(422, "must be one of", "query", "status"), "refused the request (422): query.status: must be one of."),
        (problem(413, "too big."), "refused the request (413): too big."),
        (problem(422, "must match a..z"), "refused the request (422): must match a..z."),
        ((400, {}, b'{"reason": "bad id"}'), "refused the request (400): bad id."),
        (problem(500, ""), "failed (500): see its log."),
        ((200, {}, b"<html>"), "is not callscore; check --url or CALLSCORE_URL."),
        ((301, {"Location": "/elsewhere"}, b""), "is not callscore (301); check --url or CALLSCORE_URL."),
    ],
)
async def test_every_refusal_is_one_sentence(
    callscore: Command, service: FakeService, answer: Answer, sentence: str
) -> None:
    service.first = [answer]
    ended = await callscore("status")
    assert (ended.code, ended.out) == (2 if answer[0] == 422 else 1, "")  # what was given cannot be used
    assert ended.err.endswith(f"{sentence}\n")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "place", "name"),
    [
        (("dead-letters", "list"), ("query", "project_id"), "--project"),
        (("dead-letters", "list"), ("query", "reason"), "--reason"),
        (("scorers", "publish", "x", "--kind", "length"), ("body", "project_id"), "--project"),
        (("scorers", "publish", "x", "--kind", "length"), ("body", "name"), "NAME"),
        (("scorers", "publish", "x", "--kind", "length"), ("body", "policy", "attempts"), "--policy attempts"),
        (("scores", "--project", "a/b", "--summary", "--by", "op_name"), ("query", "group_by"), "--by"),
        (("rules", "set", "x", "--project", "a/b", "--scorer", REFUSAL), ("body", "where", "x", "[key]"), "--where x"),
        (("rules", "set", "x", "--project", "a/b", "--scorer", REFUSAL), ("body", "scorer_refs", 0), "--scorer"),
        (("submit", "--project", "a/b", "--scorer", REFUSAL, "c"), ("body", "call_ids", 7), "CALL_ID"),
        (("submit", "--project", "a/b", "--scorer", REFUSAL, "c"), ("header", "Callscore-Rescore"), "--rescore"),
        (("submit", "--project", "a/b", "--scorer", REFUSAL, "c"), ("body", "unknown"), "body.unknown"),
    ],
)
async def test_refusals_name_the_options_and_arguments_of_the_command(
    callscore: Command, service: FakeService, arguments: tuple[str, ...], place: tuple[str | int, ...], name: str
) -> None:
    service.first = [problem(422, "no", *place)]
    assert (await callscore(*arguments)).err == f"The service refused the request (422): {name}: no.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("status", "r1"),
        ("scorers",),
        ("scores", "--project", "a/b", "--summary"),
        ("scores", "--project", "a/b", "--scorer", REFUSAL, "--gaps"),
        ("submit", "--project", "a/b", "--scorer", REFUSAL, "c1"),
    ],
)
async def test_another_service_is_told_from_callscore(
    callscore: Command, service: FakeService, arguments: tuple[str, ...]
) -> None:
    service.first = [(200, {}, b'{"hello": "world"}')] * 9
    ended = await callscore(*arguments)
    said = f"The server at {service.url} is not callscore; check --url or CALLSCORE_URL.\n"
    assert (ended.code, ended.out, ended.err) == (1, "", said)


async def test_clients_look_where_the_settings_of_the_service_say(command: Command, service: FakeService) -> None:
    command.env["CALLSCORE_WEB_PORT"] = service.url.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "0.0.0.0"):
        command.env["CALLSCORE_WEB_HOST"] = host
        assert (await command("scorers")).code == 0, host
    command.env["CALLSCORE_URL"] = "http://127.0.0.1:1"
    assert "http://127.0.0.1:1" in (await command("scorers")).err


async def test_several_mistakes_are_told_in_one_sentence_without_control_characters(service: FakeService) -> None:
    body = b'{"detail": [' + b",".join([b'{"loc": ["body", 1], "msg": "a\\u001b[31m\\nb"}'] * 5) + b"]}"
    service.first = [(422, {}, body)]
    async with Client(Service(service.url)) as client:
        with pytest.raises(Refused) as caught:
            await client.get("/scores")
    told = "; ".join(["body.1: a\\x1b[31m\\nb"] * 3)
    assert str(caught.value) == f"The service refused the request (422): {told}; and 2 more."


async def test_a_wrong_key_is_told_from_a_missing_one(callscore: Command, service: FakeService) -> None:
    service.first = [problem(401, "no")]
    ended = await callscore("status", "--api-key", "cs_x")
    assert ended.err == f"The service at {service.url} does not accept this API key.\n"
    assert service.seen[0].headers["Authorization"] == "Bearer cs_x"


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "--url", "ftp://x"),
        ("status", "--url", "http://"),
        ("status", "--url", "http://h:99999"),
        ("status", "--url", "http://worker..svc:6066"),
        ("status", "--api-key", "ä"),
        ("scores",),
        ("scores", "--project", "noslash"),
        ("scores", "--project", "a/b", "--json", "--csv"),
        ("scores", "--project", "a/b", "--by", "op_name"),
        ("scores", "--project", "a/b", "--lowest", "3"),
        ("scores", "--project", "a/b", "--scorer", REFUSAL, "--lowest", "3", "--highest", "3"),
        ("scores", "--project", "a/b", "--not-passed", "--status", "failed"),
        ("scores", "--project", "a/b", "--not-passed", "--summary"),
        ("scores", "--project", "a/b", "--with-calls"),
        ("scores", "--project", "a/b", "--scorer", REFUSAL, "--gaps", "--by", "op_name"),
        ("scores", "--project", "a/b", "--summary", "--by", "model"),
        ("scores", "--project", "a/b", "--summary", "--csv"),
        ("submit", "--project", "a/b"),
        ("scorers", "publish", "x", "--kind", "contains", "--param", "text"),
        ("scorers", "publish", "x", "--kind", "contains", "--param", "text=a", "--param", "text=b"),
        ("scorers", "publish", "x", "--kind", "contains", "--params", "[1]"),
        ("calls", "import", "-", "--project", "a/b", "--input", "a.x,b.x"),
        ("scores", "--project", "a/b", "--status", "typo"),
        ("scores", "--project", "a/b", "--as-of", "yesterday"),
        ("scores", "--project", "a/b", "--as-of", "2026-01-31T12:00:00"),
        ("scores", "--project", "a/b", "--scorer", "typo"),
        ("dead-letters", "list", "--since", "yesterday"),
        ("dead-letters", "redrive", "--until", "yesterday"),
        ("submit", "--project", "a/b", "--scorer", "typo", "c1"),
        ("submit", "--project", "a/b", "--scorer", "callscore:///scorer/s:1", "--calls-from", "-"),
        ("keys", "add", "file", "--user", "me"),
        ("keys", "add", "file", "--user", "", "--project", "a/b"),
        ("keys", "add", "file", "--user", "me", "--project", ""),
        ("log", "stats", "--dir", "nowhere"),
        ("log", "compact", "--dir", "nowhere"),
        ("nonsense",),
    ],
)
async def test_wrong_usage_exits_2_with_one_sentence(callscore: Command, arguments: tuple[str, ...]) -> None:
    ended = await callscore(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1


async def test_a_key_in_the_url_is_refused_and_not_shown(callscore: Command) -> None:
    ended = await callscore("status", "--url", "http://api:cs_secret@127.0.0.1:6066", "--api-key", "cs_secret")
    assert (ended.code, ended.out) == (2, "")
    assert "set CALLSCORE_API_KEY instead" in ended.err
    assert "cs_secret" not in ended.err


async def test_a_url_may_have_an_at_sign_in_its_path(callscore: Command) -> None:
    ended = await callscore("status", "--url", "http://127.0.0.1:9/user/ann@acme.com/proxy")
    assert (ended.code, ended.out) == (1, "")
    assert "No callscore service answers" in ended.err


async def test_wrong_usage_names_the_help_of_the_command(callscore: Command) -> None:
    ended = await callscore("status", "--nonsense")
    assert ended.err.endswith("--nonsense; see: callscore status --help\n")


async def test_an_option_that_does_not_exist_is_told_with_one_that_is_like_it_if_there_is_one(command: Command) -> None:
    listed = ("calls", "list", "--project", "a/b")
    seen = "; see: callscore calls list --help\n"
    assert (await command(*listed, "--where", "x")).err == f"No such option: --where{seen}"
    assert (await command(*listed, "--limt", "1")).err == f"No such option: --limt. Did you mean --limit?{seen}"


async def test_bad_settings_exit_2_with_one_sentence(command: Command) -> None:
    keys = command.folder / "keys"
    keys.touch()
    for name, value, told in (
        ("CALLSCORE_WEB_PORT", "no", "CALLSCORE_WEB_PORT='no'"),
        ("CALLSCORE_WEB_HOST", "0.0.0.0", "callscore keys add"),
        ("CALLSCORE_BROKER", "kafka://127.0.0.1:1", "callscore worker"),
        ("CALLSCORE_BROKER", "kafka://127.0.0.1:1 with keys", "CALLSCORE_CLUSTER_SECRET must be set"),
    ):
        command.env[name], with_keys, _ = value.partition(" with keys")
        if with_keys:
            command.env["CALLSCORE_API_KEYS"] = str(keys)
        ended = await command("up")
        del command.env[name]
        assert (ended.code, ended.out) == (2, "")
        assert told in ended.err
        assert ended.err.count("\n") == 1


async def test_up_says_so_when_its_port_is_taken(command: Command, service: FakeService) -> None:
    command.env["CALLSCORE_WEB_PORT"] = service.url.rpartition(":")[2]
    command.env["CALLSCORE_DATA_DIR"] = str(command.folder / "data")
    ended = await command("up")
    assert ended.code == 1
    assert "is in use" in ended.err
    assert ended.err.count("\n") == 1


async def test_a_busy_service_is_asked_again_after_the_time_it_names(callscore: Command, service: FakeService) -> None:
    service.first = [(503, {"Retry-After": "1"}, b'{"reason": "rebalancing"}'), problem(503, "recovering")]
    started = time.monotonic()
    ended = await callscore("scorers")
    assert ended.code == 0
    assert time.monotonic() - started >= 1.3
    assert len(service.seen) == 3
    assert "is not ready: rebalancing; trying again" in ended.err


async def test_what_a_silent_worker_would_be_missing_from_is_asked_for_again_and_not_shown(
    callscore: Command, service: FakeService
) -> None:
    part = (200, {"Callscore-Unanswered-Partitions": "1,3"}, b'{"items": [], "next_cursor": null}')
    service.first = [part, part]
    service.scorers = [{"ref": REFUSAL, "name": "whole", "kind": "refusal", "params": {}, "description": ""}]
    ended = await callscore("scorers")
    assert ended.code == 0
    assert "whole" in ended.out
    assert "A worker of the service at" in ended.err
    assert "(partitions 1,3); trying again" in ended.err
    service.first = [part] * 100
    async with Client(Service(service.url), patience=1.0) as client:
        with pytest.raises(Unreachable, match="does not answer, so its data would be missing"):
            await client.get("/scorers")


async def test_patience_ends(service: FakeService) -> None:
    service.first = [problem(503, "recovering")] * 100
    async with Client(Service(service.url), patience=5.0) as client:
        with pytest.raises(Refused, match="not ready: recovering"):
            await client.get("/scorers")
    assert 2 <= len(service.seen) <= 20


async def test_a_quiet_request_is_watched_however_often_its_stream_ends(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_FIRST_WAIT", 0.01)
    monkeypatch.setattr(patience, "_LONGEST_WAIT", 0.05)
    service.quiet_streams = 6
    async with Client(Service(service.url), patience=0.3) as client:
        events = client.events("/score-requests/r0/events")
        assert [(await anext(events))["request_id"], (await anext(events))["request_id"]] == ["r0", "r0"]
    assert service.quiet_streams == 0


async def test_a_date_is_understood_as_retry_after(service: FakeService) -> None:
    service.first = [(503, {"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}, b"{}")]
    async with Client(Service(service.url), patience=5.0) as client:
        with pytest.raises(Refused, match="not ready"):
            await client.get("/scorers")
    assert len(service.seen) == 1


async def test_an_unknown_host_is_one_sentence() -> None:
    async with Client(Service("http://callscore.invalid")) as client:
        with pytest.raises(Unreachable, match=r"callscore\.invalid"):
            await client.get("/scorers")


async def test_ctrl_c_is_quiet(callscore: Command, service: FakeService) -> None:
    service.first = [problem(503, "recovering")] * 100
    process = await callscore.start("status")
    await service.asked.wait()
    process.send_signal(signal.SIGINT)
    ended = await callscore.end(process)
    assert (ended.code, ended.out) == (130, "")
    assert "Traceback" not in ended.err


async def test_a_reader_that_goes_away_is_no_traceback(callscore: Command, service: FakeService) -> None:
    service.scorers = [{"ref": "r" * 100, "name": "n", "kind": "k", "description": "d", "project_id": None}] * 5000
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m app.cli scorers --json | head -1",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=callscore.env,
    )
    out, err = await process.communicate()
    assert (out.count(b"\n"), err) == (1, b"")


@pytest.mark.parametrize("group", [[], ["calls"], ["scorers"], ["keys"], ["log"], ["dead-letters"]])
async def test_help_of_commands_with_commands_is_quick_and_loads_nothing_heavy(
    command: Command, group: list[str]
) -> None:
    code = (
        f"import sys; from app.cli import cli; cli.main({[*group, '--help']}, standalone_mode=False); "
        "print([m for m in ('faust', 'aiohttp', 'rocksdict', 'pydantic') if m in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        stdout=asyncio.subprocess.PIPE,
        env=command.env,
    )
    out, _ = await process.communicate()
    assert out.decode().splitlines()[-1] == "[]"


async def test_client_commands_never_load_the_service(callscore: Command) -> None:
    code = (
        "import sys; from app.cli import cli; cli.main(['scorers'], standalone_mode=False); "
        "print([m for m in ('faust', 'rocksdict', 'app.settings', 'app.faust_app') if m in sys.modules])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        stdout=asyncio.subprocess.PIPE,
        env=callscore.env,
    )
    out, _ = await process.communicate()
    assert out.decode().splitlines()[-1] == "[]"


async def test_a_terminal_gets_80_columns_and_no_control_characters(callscore: Command, service: FakeService) -> None:
    evil = "\x1b]0;owned\x07\u202e"
    service.scores = [
        {
            "project_id": "a/b", "call_id": "c" * 32, "scorer_ref": "callscore:///scorer/s:1", "scorer_name": "s",
            "status": "succeeded", "output": {"passed": True, "text": evil * 20}, "attempts": 1, "revision": 1,
            "scored_at": "2026-01-01T00:00:00Z", "op_name": evil, "lineage": {},
        }
    ]  # fmt: skip
    out = await _on_a_terminal(callscore, "scores", "--project", "a/b")
    assert "c" * 32 in out
    assert "]0;owned\x07" not in out
    assert "\u202e" not in out
    assert "\\x1b]0;" in out
    visible = [line.replace("\x1b[1m", "").replace("\x1b[0m", "").rstrip("\r") for line in out.split("\n")]
    assert max(map(len, visible)) <= 80


async def test_a_narrow_terminal_gets_all_of_every_id(callscore: Command, service: FakeService) -> None:
    service.scores = [
        {
            "project_id": "a/b", "call_id": "0123456789abcdef" * 2, "scorer_ref": "callscore:///scorer/a_long_name:1",
            "scorer_name": "a_long_name", "status": "succeeded", "output": {"passed": True}, "attempts": 1,
            "revision": 1, "scored_at": "2026-01-01T00:00:00Z", "op_name": None, "lineage": {},
        }
    ]  # fmt: skip
    out = await _on_a_terminal(callscore, "scores", "--project", "a/b", columns=40)
    rows = [line.replace("\x1b[1m", "").replace("\x1b[0m", "").rstrip("\r") for line in out.split("\n")]
    assert max(map(len, rows)) <= 40
    columns = ["".join(row[start:end].strip() for row in rows[1:]) for start, end in _spans(rows)]
    assert columns[:3] == ["0123456789abcdef" * 2, "a_long_name", "succeeded"]


def _spans(rows: list[str]) -> list[tuple[int, int]]:
    """Where columns begin and end: between them no row has anything."""
    width = max(map(len, rows))
    used = [any(row[at : at + 1].strip() for row in rows) for at in range(width)] + [False]
    starts = [at for at in range(width) if used[at] and (at == 0 or not used[at - 1])]
    return [(start, used.index(False, start)) for start in starts]


async def _on_a_terminal(callscore: Command, *arguments: str, columns: int = 80) -> str:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.cli",
        *arguments,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**callscore.env, "COLUMNS": str(columns), "TERM": "xterm"},
    )
    os.close(theirs)
    assert await process.wait() == 0
    data = b""
    try:
        while chunk := os.read(ours, 65536):
            data += chunk
    except OSError:  # what Linux answers when the other side is closed
        pass
    os.close(ours)
    return data.decode()


def test_every_command_that_is_listed_can_be_imported() -> None:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        if isinstance(command, click.Group):
            for nested in command.list_commands(context):
                found = command.get_command(context, nested)
                assert found is not None
                assert found.name == nested
