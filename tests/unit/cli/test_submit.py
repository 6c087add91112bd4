"""callscore submit: what is asked for, and how its end is told."""

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from app.client import requests
from app.client.errors import Unreachable
from app.client.http import Client, Service
from app.client.tasks import summary, words
from app.commands.submit import _submit

from .command import Command
from .fake_service import REFUSAL, FakeService


async def test_submit_takes_all_calls_of_the_project_page_by_page(callscore: Command, service: FakeService) -> None:
    service.calls = {str(number): {"id": str(number)} for number in range(25)}
    service.page = 10
    service.counts = {"succeeded": 25}
    ended = await callscore("submit", "--project", "a/b", "--scorer", REFUSAL)
    assert ended.code == 0
    assert ended.out.startswith("25 tasks: 25 succeeded in ")
    assert service.submitted == [
        {"project_id": "a/b", "call_ids": [str(number) for number in range(25)], "scorer_refs": [REFUSAL]}
    ]


async def test_submit_gaps_scores_exactly_what_each_scorer_lacks(callscore: Command, service: FakeService) -> None:
    service.gaps = {REFUSAL: ["c1", "c3"], "callscore:///scorer/a:1": ["c2"], "callscore:///scorer/b:1": []}
    service.counts = {"succeeded": 1}
    scorers = [word for ref in service.gaps for word in ("--scorer", ref)]
    assert (await callscore("submit", "--project", "a/b", *scorers, "--gaps")).code == 0
    assert service.submitted == [
        {"project_id": "a/b", "call_ids": ["c1", "c3"], "scorer_refs": [REFUSAL]},
        {"project_id": "a/b", "call_ids": ["c2"], "scorer_refs": ["callscore:///scorer/a:1"]},
    ]
    for form in ((), ("--json",)):
        ended = await callscore("submit", "--project", "a/b", *scorers[4:], "--gaps", *form)
        assert (ended.code, ended.out, ended.err, len(service.submitted)) == (0, "", "There are no gaps.\n", 2)
    ended = await callscore("submit", "--project", "a/b", *scorers, "--gaps", "c1")
    assert ended.code == 2


async def test_ctrl_c_while_waiting_says_that_the_work_goes_on(callscore: Command, service: FakeService) -> None:
    service.status, service.counts = "running", {"queued": 1}
    process = await callscore.start("submit", "--project", "a/b", "--scorer", REFUSAL, "c1")
    await asyncio.wait_for(service.looked.wait(), 30)
    process.send_signal(signal.SIGINT)
    ended = await callscore.end(process)
    assert (ended.code, ended.out) == (130, "")
    assert ended.err.strip().splitlines()[-1] == "Scoring continues. Follow it with: callscore status r0"


async def test_submit_says_that_the_work_goes_on_if_the_service_is_lost(
    service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    service.status, service.counts, service.quiet_streams = "running", {"queued": 1}, 100
    async with Client(Service(service.url), patience=0.5) as client:
        with pytest.raises(Unreachable, match="ended the stream"):
            await _submit(client, "a/b", [(["c1"], [REFUSAL])], None, wait=True, as_json=False)
    continues = f"Scoring continues. Follow it with: callscore status r0 --url {service.url}"
    assert continues in capsys.readouterr().err.splitlines()


def test_the_rate_counts_only_what_was_run() -> None:
    def told(reused: int) -> str:
        return summary([{"tasks": {"total": 100, "succeeded": 100, "reused": reused}}], 2.0)

    assert told(0) == "100 tasks: 100 succeeded in 2.0 s, 50/s"
    assert told(90) == "100 tasks: 100 succeeded (90 reused) in 2.0 s, 5/s"
    assert told(100) == "100 tasks: 100 succeeded (100 reused) in 2.0 s"


def test_the_rate_of_slow_scorers_is_no_zero() -> None:
    def told(ended: int, elapsed: float) -> str:
        tasks = Counter(total=40, succeeded=ended, queued=40 - ended)
        return words(tasks, ended, elapsed)

    assert told(3, 30.0) == "3 of 40 tasks, 6/min"
    assert told(3, 2.0) == "3 of 40 tasks, 1.5/s"
    assert told(1, 1800.0) == "1 of 40 tasks, 2/h"
    assert told(0, 30.0) == "0 of 40 tasks"
    assert told(40, 0.01) == "40 of 40 tasks, 4,000/s"
    slow = summary([{"tasks": {"total": 40, "succeeded": 38, "failed": 2, "reused": 0}}], 100.0)
    assert slow == "40 tasks: 38 succeeded, 2 failed in 1 min 40 s, 24/min"
    hindered = Counter(total=9, succeeded=1, failed=2, paused=3, waiting_for_call=3)
    assert words(hindered, 3, 1.0) == "3 of 9 tasks, 3/s, 2 failed, 3 paused, 3 waiting for their call or code"


async def test_failed_tasks_exit_1_with_the_most_frequent_reasons_and_that_there_are_others(
    callscore: Command, service: FakeService
) -> None:
    service.counts = {"succeeded": 5, "failed": 10}
    service.tasks = [{"reason": reason} for reason in "aaaabbbccd"]
    service.page = 4
    ended = await callscore("submit", "--project", "a/b", "--scorer", REFUSAL, "c1")
    assert ended.code == 1
    assert ended.out.startswith("15 tasks: 5 succeeded, 10 failed in ")
    assert ended.err.splitlines()[-4:] == ["4 failed: a", "3 failed: b", "2 failed: c", "and 1 with other reasons"]


async def test_submit_json_prints_the_final_request(callscore: Command, service: FakeService) -> None:
    service.counts = {"succeeded": 1}
    ended = await callscore("submit", "--project", "a/b", "--scorer", REFUSAL, "--json", "c1")
    assert json.loads(ended.out)["tasks"]["succeeded"] == 1


async def test_no_wait_prints_the_request_id(callscore: Command, service: FakeService) -> None:
    ended = await callscore("submit", "--project", "a/b", "--scorer", REFUSAL, "--no-wait", "c1")
    assert (ended.code, ended.out) == (0, "r0\n")
    assert ended.err.splitlines()[-1] == "Check its progress with: callscore status r0"


async def test_a_command_to_copy_reaches_the_same_service(command: Command, service: FakeService) -> None:
    asked = ("submit", "--project", "a/b", "--scorer", REFUSAL, "--no-wait", "c1", "--url", service.url)
    ended = await command(*asked)
    assert ended.err.splitlines()[-1] == f"Check its progress with: callscore status r0 --url {service.url}"


async def test_ids_come_from_stdin_and_count_once(callscore: Command, service: FakeService) -> None:
    service.counts = {"succeeded": 2}
    arguments = ("submit", "--project", "a/b", "--scorer", REFUSAL, "--calls-from", "-", "--rescore", "again")
    ended = await callscore(*arguments, given=b"c1\n\nc2\r\nc1\n")
    assert ended.code == 0
    assert service.submitted[0]["call_ids"] == ["c1", "c2"]
    posted = next(request for request in service.seen if request.method == "POST")
    assert posted.headers["Callscore-Rescore"] == "again"
    assert posted.headers["Idempotency-Key"]


async def test_a_byte_order_mark_is_no_part_of_the_first_id(
    callscore: Command, service: FakeService, tmp_path: Path
) -> None:
    service.counts = {"succeeded": 1}
    ids = tmp_path / "ids"
    ids.write_bytes(b"\xef\xbb\xbfc1\n")
    for given in ("-", str(ids)):
        arguments = ("submit", "--project", "a/b", "--scorer", REFUSAL, "--calls-from", given)
        assert (await callscore(*arguments, given=ids.read_bytes())).code == 0
        assert service.submitted.pop()["call_ids"] == ["c1"]


async def test_lines_of_calls_are_not_taken_for_ids_of_calls(callscore: Command, service: FakeService) -> None:
    arguments = ("submit", "--project", "a/b", "--scorer", REFUSAL, "--calls-from", "-")
    ended = await callscore(*arguments, given=b'{"id": "c1", "output": "x"}\n')
    assert (ended.code, service.submitted) == (2, [])
    assert "jq -r .id FILE" in ended.err
    ended = await callscore(*arguments, given=b'{\n  "id": "c1"\n}\n')
    assert (ended.code, service.submitted) == (2, [])
    ended = await callscore(*arguments, given=b"{550e8400-e29b-41d4-a716-446655440000}\n")
    assert ended.code == 0  # which is an id


async def test_a_project_without_calls_is_an_error(callscore: Command, service: FakeService) -> None:
    ended = await callscore("submit", "--project", "a/b", "--scorer", REFUSAL)
    assert (ended.code, service.submitted) == (1, [])
    assert ended.err == "The project a/b has no calls. Import some with: callscore calls import\n"


def test_what_is_too_much_for_one_request_becomes_several() -> None:
    assert [len(part) for part in requests.parts([str(number) for number in range(200_001)])] == [100_000, 100_000, 1]
    assert len(requests.parts([f"{number:0512d}" for number in range(100_000)])) == 3
