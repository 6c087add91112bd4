import asyncio
import gzip
import re
import signal
import subprocess
from pathlib import Path

import orjson
import pytest

from app.client.batches import MAX_BATCH_BYTES, MAX_BATCH_CALLS, batches
from app.client.errors import CommandError
from app.client.fields import Fields, Seen
from app.client.http import Client, Service
from app.client.importing import Import
from app.client.lines import Source

from .command import Command, Ended
from .fake_service import FakeService


def write(path: Path, rows: int) -> Path:
    path.write_bytes(b"".join(b'{"question": "q%d", "output": "o"}\n' % row for row in range(rows)))
    return path


async def interrupted(callscore: Command, service: FakeService, *arguments: str) -> Ended:
    """Ctrl-C as soon as the service holds a batch back and has answered those before it."""
    process = await callscore.start(*arguments)
    await service.held.wait()
    await asyncio.sleep(0.3)
    process.send_signal(signal.SIGINT)
    return await callscore.end(process)


async def test_every_line_becomes_a_call(callscore: Command, service: FakeService, tmp_path: Path) -> None:
    path = write(tmp_path / "calls.jsonl", 1001)
    ended = await callscore("calls", "import", str(path), "--project", "a/b")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("1,001 calls sent, 0 rejected")
    assert {call["inputs"]["question"] for call in service.calls.values()} == {f"q{row}" for row in range(1001)}
    assert max(len(orjson.loads(batch)["batch"]) for batch in service.batches) <= 200


async def test_importing_again_sends_the_same_bytes(callscore: Command, service: FakeService, tmp_path: Path) -> None:
    path = write(tmp_path / "calls.jsonl", 450)
    for _ in range(2):
        assert (await callscore("calls", "import", str(path), "--project", "a/b")).code == 0
    assert sorted(service.batches[:3]) == sorted(service.batches[3:])


@pytest.mark.parametrize("source", ["stdin", "pipe", "gz"])
async def test_stdin_pipes_and_gzip_are_read_like_a_file(
    callscore: Command, service: FakeService, tmp_path: Path, source: str
) -> None:
    data = write(tmp_path / "plain", 3).read_bytes()
    packed = tmp_path / "calls.jsonl.gz"
    packed.write_bytes(gzip.compress(data))
    # By its path stdin is a pipe like that of a shell's <(…).
    name, given = {"stdin": ("-", data), "pipe": ("/dev/stdin", data), "gz": (str(packed), b"")}[source]
    ended = await callscore("calls", "import", name, "--project", "a/b", given=given)
    assert (ended.code, len(service.calls)) == (0, 3)


async def test_bad_lines_are_reported_by_number_and_the_rest_goes_on(
    callscore: Command, service: FakeService, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'{"id": "1", "output": 1}\nnonsense\n[]\n{"id": "4"}\n{"id": "5", "output": 1}\n')
    service.refuse = {"5"}
    ended = await callscore("calls", "import", str(path), "--project", "a/b", "--id", "id")
    assert ended.code == 1
    assert ended.out.startswith("1 call sent, 4 rejected")
    told = ended.err.splitlines()
    assert [line.split(":")[0] for line in told[:-1]] == ["line 2", "line 3", "line 4", "line 5"]
    assert "call 5 is refused" in told[3]
    assert "--exception" in told[4]
    assert list(service.calls) == ["1"]
    ended = await callscore("calls", "import", str(path), "--project", "a/b", "--id", "id", "--exception", "error")
    assert len(ended.err.splitlines()) == 4


async def test_complaints_about_lines_are_capped(callscore: Command, service: FakeService, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'{"output": 1}\n' + b"nonsense\n" * 500)
    ended = await callscore("calls", "import", str(path), "--project", "a/b")
    told = ended.err.splitlines()
    assert [line.split(":")[0] for line in told[:-1]] == [f"line {number}" for number in range(2, 12)]
    assert told[-1] == "and 490 more; write all to a file with --rejected"
    assert told[0].endswith("(column 1); a JSON object is expected")
    assert all(line.count("line") == 1 for line in told[:10])


async def test_all_rejected_lines_can_be_had_in_a_file_also_those_of_an_interrupted_import(
    callscore: Command, service: FakeService, tmp_path: Path
) -> None:
    path, file = tmp_path / "calls.jsonl", tmp_path / "rejected.jsonl"
    lines = [b'{"id": "%d", "output": %s}' % (n, b"nonsense" if n % 50 == 0 else b"1") for n in range(1, 4001)]
    path.write_bytes(b"\n".join(lines))
    arguments = ("calls", "import", str(path), "--project", "a/b", "--id", "id", "--rejected", str(file))
    service.refuse, service.hold_after = {"7"}, 28
    stopped = await interrupted(callscore, service, *arguments)
    assert re.search(
        r"^Interrupted after line [\d,]+\. The same command, without --restart, continues there\.$",
        stopped.err,
        re.MULTILINE,
    )
    some = len(file.read_bytes().splitlines())
    service.hold_after = None
    ended = await callscore(*arguments)
    assert ended.err.startswith("Continuing after line")
    rejected = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    assert [line["line"] for line in rejected] == sorted([7, *range(50, 4001, 50)])
    assert 0 < some < len(rejected)
    assert "call 7 is refused" in rejected[0]["reason"]
    assert rejected[1]["reason"].startswith("not valid JSON")


async def test_the_file_that_is_imported_is_not_written_over(
    callscore: Command, service: FakeService, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text('{"output": 1}\n')
    ended = await callscore("calls", "import", str(path), "--project", "a/b", "--rejected", str(path))
    assert (ended.code, path.read_text()) == (2, '{"output": 1}\n')
    assert "must name another file" in ended.err


async def test_when_no_line_has_the_output_one_sentence_names_the_option_and_the_fields(
    callscore: Command, service: FakeService, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'{"question": "q", "answer": "a"}\n' * 500)
    ended = await callscore("calls", "import", str(path), "--project", "a/b")
    assert (ended.code, service.calls) == (1, {})
    assert ended.out.startswith("0 calls sent, 500 rejected")
    assert ended.err == (
        "No line has the field 'output'. Name the output field with --output. The first line has: question, answer.\n"
    )


async def test_the_missing_output_is_named_even_if_other_lines_are_bad_for_other_reasons(
    callscore: Command, service: FakeService, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'{"answer": "a"}\n' * 20 + b"nonsense\n" + b'{"answer": "a"}\n{\n' * 20)
    ended = await callscore("calls", "import", "-", "--project", "a/b", given=b"nonsense\n" + path.read_bytes())
    told = ended.err.splitlines()
    assert told[0].startswith("line 1: not valid JSON")
    assert told[1] == "and 21 more; write all to a file with --rejected"
    assert told[2].startswith("No line has the field 'output'. Name the output field with --output.")
    assert (len(told), ended.out[:28]) == (3, "0 calls sent, 62 rejected, i")


@pytest.mark.parametrize(
    ("content", "found", "convert"),
    [
        ('[{"output": 1}, {"output": 2}]', "is one JSON array", "jq -c '.[]' FILE"),
        ('[\n  {"output": 1}\n]\n', "is one JSON array", "jq -c '.[]' FILE"),
        ('{\n  "output": 1\n}\n', "has objects of many lines", "jq -c . FILE"),
        ("question,output\nWhere?,There\n", "looks like CSV", "python3 -c "),
        ("question\toutput\nWhere?\tThere, I think\n", "looks like CSV", "python3 -c "),
    ],
)
async def test_a_file_of_another_format_is_refused_with_the_command_that_converts_it(
    callscore: Command, service: FakeService, tmp_path: Path, content: str, found: str, convert: str
) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text(content)
    arguments = ("calls", "import", "-", "--project", "a/b")
    ended = await callscore(*arguments, given=content.encode())
    assert (ended.code, ended.out, service.calls) == (2, "", {})
    told = f"stdin {found}, so nothing was imported. Convert it to one object per line: "
    assert ended.err.startswith(f"{told}{convert}")
    assert (await callscore("calls", "import", str(path), "--project", "a/b")).err.startswith(f"{path} {found}")
    if "python3" in convert:
        command = ended.err.removeprefix(told).strip().removesuffix("< FILE")
        converted = subprocess.run(command, shell=True, input=content.encode(), capture_output=True, check=True)
        assert (await callscore(*arguments, given=converted.stdout)).code == 0


@pytest.mark.parametrize("content", [b"[]\n", b'[{"a": 1}]\n[{"b": 2}]\n', b'{\n{"output": 1}\n', b"# a, b\n"])
async def test_a_file_of_json_lines_may_begin_with_bad_ones(
    callscore: Command, service: FakeService, content: bytes
) -> None:
    ended = await callscore("calls", "import", "-", "--project", "a/b", given=content + b'{"output": 2}\n')
    assert ended.code == 1
    assert service.calls


async def test_a_refused_call_takes_none_of_its_batch_with_it(
    callscore: Command, service: FakeService, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"".join(b'{"id": %d, "output": 1}\n' % row for row in range(150)))
    service.refuse = {"17", "99"}
    ended = await callscore("calls", "import", str(path), "--project", "a/b", "--id", "id")
    assert ended.out.startswith("148 calls sent, 2 rejected")
    assert [line.split(":")[0] for line in ended.err.splitlines()] == ["line 18", "line 100"]


async def test_a_terminal_is_not_steered_by_a_bad_line(callscore: Command, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'{"id": {}, "output": 1}\n')
    ended = await callscore("calls", "import", str(path), "--project", "a/b", "--input", "i\x1b[31md")
    assert "\x1b" not in ended.err
    assert "\\x1b[31m" in ended.err


async def test_limit_takes_the_first_lines(callscore: Command, service: FakeService, tmp_path: Path) -> None:
    path = write(tmp_path / "calls.jsonl", 10)
    assert (await callscore("calls", "import", str(path), "--project", "a/b", "--limit", "4")).code == 0
    assert sorted(call["inputs"]["question"] for call in service.calls.values()) == ["q0", "q1", "q2", "q3"]


async def test_a_field_that_no_line_has_is_refused_before_anything_is_sent_or_mentioned_where_that_cannot_be_told(
    callscore: Command, service: FakeService, tmp_path: Path
) -> None:
    path = write(tmp_path / "calls.jsonl", 2)
    named = ("--project", "a/b", "--attribute", "modle")
    ended = await callscore("calls", "import", str(path), *named)
    assert (ended.code, service.calls) == (2, {})
    assert ended.err.startswith("No line has the field 'modle', so nothing was imported. The first line has: ")
    ended = await callscore("calls", "import", "-", *named, given=path.read_bytes())
    assert (ended.code, ended.err) == (0, "No line has the field 'modle'.\n")
    assert len(service.calls) == 2
    ended = await callscore("calls", "import", str(path), *named, "--limit", "1")
    assert (ended.code, ended.err) == (0, "No line has the field 'modle'.\n")


async def test_lines_that_become_one_call_are_told_of(callscore: Command, service: FakeService, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'{"id": 1, "output": "yes"}\n' * 3 + b'{"id": 2, "output": "yes"}\n')
    ended = await callscore("calls", "import", str(path), "--project", "a/b")
    assert (ended.code, len(service.calls)) == (0, 2)
    told = "2 lines repeated an earlier one and did not become a separate call."
    assert ended.err == f"{told} Use --id if the lines have a field with an id.\n"
    assert (await callscore("calls", "import", str(path), "--project", "a/b", "--id", "id")).err == f"{told}\n"


async def test_a_damaged_file_is_imported_as_far_as_it_can_be_read(
    callscore: Command, service: FakeService, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl.gz"
    rows = b"".join(b'{"id": %d, "output": "%d"}\n' % (number, number**9) for number in range(20_000))
    path.write_bytes(gzip.compress(rows)[:-20])
    ended = await callscore("calls", "import", str(path), "--project", "a/b", "--id", "id")
    assert "cannot be read beyond line" in ended.err
    assert len(service.calls) > 1_000


async def test_an_interrupted_import_continues_where_it_stopped(
    callscore: Command, service: FakeService, tmp_path: Path
) -> None:
    path = write(tmp_path / "calls.jsonl", 2000)
    arguments = ("calls", "import", str(path), "--project", "a/b")
    service.hold_after = 5
    ended = await interrupted(callscore, service, *arguments)
    assert (ended.code, ended.out) == (130, "")
    assert "Traceback" not in ended.err
    states = list((tmp_path / "state" / "callscore").iterdir())
    assert len(states) == 1

    service.hold_after = None
    sent = len(service.batches)
    ended = await callscore(*arguments)
    assert ended.code == 0
    # Batches overtake each other, so that the one held back may be any from the third on.
    resumed_at = int(ended.err.split()[3].strip(".").replace(",", ""))
    assert resumed_at in (400, 600, 800, 1000)
    assert ended.out.startswith(f"{2000 - resumed_at:,} calls sent, 0 rejected, in ")
    assert ended.out.endswith(f"/s); before: {resumed_at:,} sent, 0 rejected.\n")
    assert len(service.batches) - sent == (2000 - resumed_at) // 200
    assert len(service.calls) == 2000
    assert list((tmp_path / "state" / "callscore").iterdir()) == []


async def test_an_interrupted_import_starts_over_if_the_service_has_lost_what_was_sent(
    callscore: Command, service: FakeService, tmp_path: Path
) -> None:
    path = write(tmp_path / "calls.jsonl", 2000)
    service.hold_after = 4
    await interrupted(callscore, service, "calls", "import", str(path), "--project", "a/b")
    service.hold_after = None
    service.calls.clear()
    ended = await callscore("calls", "import", str(path), "--project", "a/b")
    assert (ended.code, len(service.calls)) == (0, 2000)
    assert ended.out.startswith("2,000 calls sent, 0 rejected, in ")
    assert ended.err == (
        "The service does not have the calls that the interrupted import sent, so the import starts over.\n"
    )


async def test_restart_ignores_what_was_done(callscore: Command, service: FakeService, tmp_path: Path) -> None:
    path = write(tmp_path / "calls.jsonl", 2000)
    service.hold_after = 4
    await interrupted(callscore, service, "calls", "import", str(path), "--project", "a/b")
    service.hold_after = None
    ended = await callscore("calls", "import", str(path), "--project", "a/b", "--restart")
    assert (ended.code, ended.err, len(service.batches)) == (0, "", 14)


async def test_a_changed_file_starts_over(callscore: Command, service: FakeService, tmp_path: Path) -> None:
    path = write(tmp_path / "calls.jsonl", 2000)
    service.hold_after = 4
    await interrupted(callscore, service, "calls", "import", str(path), "--project", "a/b")
    service.hold_after = None
    write(path, 2001)
    ended = await callscore("calls", "import", str(path), "--project", "a/b")
    assert (ended.code, ended.err) == (0, "")


async def test_ctrl_c_ends_an_import_that_waits_for_stdin(callscore: Command, service: FakeService) -> None:
    service.hold_after = 0
    process = await callscore.start("calls", "import", "-", "--project", "a/b")
    assert process.stdin is not None
    process.stdin.write(b'{"output": "o"}\n' * MAX_BATCH_CALLS)
    await service.held.wait()  # by its first batch, and it waits for a second one
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 30) == 130
    ended = await callscore.end(process)
    assert (ended.out, ended.err.strip()) == ("", "")


def test_batches_stay_below_four_mebibytes(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"".join(orjson.dumps({"output": "x" * 900_000, "n": row}) + b"\n" for row in range(20)))
    fields = Fields("a/b")
    found = list(batches(Source.open(str(path)).lines(), fields, Seen(fields)))
    assert sum(len(batch.calls) for batch in found) == 20
    assert max(batch.size for batch in found) <= MAX_BATCH_BYTES
    assert [batch.last.number for batch in found] == [4, 8, 12, 16, 20]


async def test_a_project_may_have_any_name(service: FakeService) -> None:
    fields = Fields("größe/a b?c")
    async with Client(Service(service.url)) as client:
        path = Import(client, Source("none", None, None), fields)._path  # type: ignore[arg-type]
        await client.post(path, b'{"batch":[]}')
    assert service.seen[-1].match_info["entity"] == "größe"
    assert service.seen[-1].match_info["project"] == "a b?c"


async def test_a_missing_file_is_a_usage_error(callscore: Command) -> None:
    ended = await callscore("calls", "import", "nowhere.jsonl", "--project", "a/b")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert "nowhere.jsonl" in ended.err


def test_a_file_that_cannot_be_opened_is_one_sentence() -> None:
    with pytest.raises(CommandError, match="No such file"):
        Source.open("nowhere.jsonl")
