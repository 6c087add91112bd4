"""callscore status: how requests stand, and what is done about them."""

import json

from .command import Command
from .fake_service import REFUSAL, FakeService, problem


async def test_status_cancels_and_tries_again(callscore: Command, service: FakeService) -> None:
    service.status, service.counts = "running", {"failed": 2, "queued": 1}
    assert (await callscore("status", "r7", "--cancel")).code == 0
    assert (await callscore("status", "r7", "--retry")).code == 0
    only = ("--scorer", "refusal", "--error", "TimeoutError", "--error", "rate_limited")
    assert (await callscore("status", "r7", "--retry", *only)).code == 0
    filtered = {"error_types": ["TimeoutError", "rate_limited"], "scorer_refs": [REFUSAL]}
    assert service.ordered == [("cancel", "r7", {}), ("retry", "r7", {}), ("retry", "r7", filtered)]
    unknown = await callscore("status", "r7", "--retry", "--scorer", "nobody")
    assert (unknown.code, "nobody" in unknown.err) == (2, True)
    for wrong in (
        ("--cancel",),
        ("--watch",),
        ("r7", "--scorer", "refusal"),
        ("r7", "--cancel", "--error", "x"),
        ("r7", "--cancel", "--retry"),
        ("r7", "--retry", "--cancel"),
    ):
        assert (await callscore("status", *wrong)).code == 2
    assert len(service.ordered) == 3


async def test_trying_again_says_so_if_there_is_nothing_to_try(callscore: Command, service: FakeService) -> None:
    service.status, service.counts = "completed", {"succeeded": 2}
    assert "nothing is retried" in (await callscore("status", "r7", "--retry")).err
    service.counts = {"succeeded": 1, "cancelled": 1}
    assert "nothing is retried" not in (await callscore("status", "r7", "--retry")).err


async def test_trying_again_what_failed_otherwise_says_how_it_failed(callscore: Command, service: FakeService) -> None:
    service.status, service.counts = "completed", {"failed": 2}
    service.tasks = [{"status": "failed", "reason": "TimeoutError"}] * 2
    assert "No task of the request" not in (await callscore("status", "r7", "--retry", "--error", "TimeoutError")).err
    told = (await callscore("status", "r7", "--retry", "--error", "timeout")).err
    assert told == "No task of the request failed with 'timeout', so nothing is retried. The errors are: TimeoutError\n"
    some = (await callscore("status", "r7", "--retry", "--error", "timeout", "--error", "TimeoutError")).err
    assert some == "No task of the request failed with 'timeout'. The errors are: TimeoutError\n"


async def test_trying_again_says_so_if_nothing_is_by_these_scorers_or_has_an_error(
    callscore: Command, service: FakeService
) -> None:
    service.status, service.counts = "completed", {"failed": 2, "cancelled": 1}
    service.tasks = [{"status": "failed", "reason": "TimeoutError", "scorer_ref": "callscore:///scorer/other:1"}] * 2
    retry = ("status", "r7", "--retry", "--scorer", "refusal")
    nothing = "No task of these scorers failed or was cancelled, so nothing is retried.\n"
    assert (await callscore(*retry)).err == nothing
    service.tasks.append({"status": "cancelled", "reason": "request_cancelled", "scorer_ref": REFUSAL})
    assert (await callscore(*retry)).err == ""
    nothing = "No task of these scorers failed, so nothing is retried.\n"
    assert (await callscore(*retry, "--error", "TimeoutError")).err == nothing
    assert len(service.ordered) == 3


async def test_why_tasks_are_tried_again_and_what_a_request_cost_is_said(
    callscore: Command, service: FakeService
) -> None:
    service.status, service.counts = "running", {"retrying": 2}
    service.tasks = [{"status": "retrying", "reason": "RetryLater: full", "next_at": "2026-01-01T00:10:00Z"}] * 2
    told = (await callscore("status", "r7")).out
    assert "waiting      2 tasks retrying: RetryLater: full; next attempt 2026-01-01T00:10:00Z\n" in told
    assert "\ncost " not in told
    service.cost = {"usd": 0.000513, "requests": 20, "input_tokens": 1500, "output_tokens": 80}
    service.cost |= {"unpriced_requests": 0, "unanswered_requests": 1}
    told = (await callscore("status", "r7")).out
    assert "cost         0.000513 USD for 20 requests, 1,500 + 80 tokens; not counted: 1 without an answer\n" in told


async def test_what_is_tried_again_is_told_by_reason_each_with_its_count_and_its_earliest_next_try(
    callscore: Command, service: FakeService
) -> None:
    service.status, service.counts = "running", {"retrying": 9}
    service.tasks = [
        {"status": "retrying", "reason": reason, "next_at": f"2026-01-01T00:{59 - number}:00Z"}
        for number, reason in enumerate("aaabbccde")
    ]
    told = [line for line in (await callscore("status", "r7")).out.splitlines() if line.startswith("waiting")]
    assert [line.split(None, 1)[1] for line in told] == [
        "3 tasks retrying: a; next attempt 2026-01-01T00:57:00Z",
        "2 tasks retrying: b; next attempt 2026-01-01T00:55:00Z",
        "2 tasks retrying: c; next attempt 2026-01-01T00:53:00Z",
        "and 2 with other reasons; next attempt 2026-01-01T00:51:00Z",
    ]


async def test_of_more_tasks_than_are_looked_at_it_is_said_that_there_are_more(
    callscore: Command, service: FakeService
) -> None:
    service.counts, service.tasks = {"failed": 10_004}, [{"reason": reason} for reason in "abcde" for _ in range(2_001)]
    lines = (await callscore("status", "r7")).out.splitlines()
    assert [line.split(None, 1)[1] for line in lines if line.startswith("failed")] == [
        *(f"2,001: {reason}" for reason in "abc"),
        "and 4,001 with these or other reasons",
    ]


async def test_what_tasks_wait_for_is_said_calls_or_code(callscore: Command, service: FakeService) -> None:
    service.status, service.counts = "running", {"waiting_for_call": 3}
    call = {"status": "waiting_for_call", "reason": "waiting_for_call", "next_at": "2026-01-01T00:10:00Z"}
    call["call_id"] = "c0"
    code = {**call, "reason": "scorer_version_unavailable"}
    service.tasks = [code] * 3
    line = "waiting      3 tasks wait for the code of their scorer, which no worker has loaded (if it was edited,"
    assert any(said.startswith(line) for said in (await callscore("status", "r7")).out.splitlines())
    assert "tasks        3 waiting for call or code\n" in (await callscore("status", "r7")).out
    service.tasks = [call, code, code]
    told = [line for line in (await callscore("status", "r7")).out.splitlines() if line.startswith("waiting")]
    assert sorted(line.split(",")[0].split(None, 1)[1] for line in told) == [
        "1 task waits for a call that is not logged yet (c0)",
        "2 tasks wait for the code of their scorer",
    ]
    service.tasks, service.counts = [{**call, "call_id": f"c{n // 2}"} for n in range(14)], {"waiting_for_call": 14}
    waits = "14 tasks wait for 7 calls that are not logged yet (c0, c1, c2, c3, c4, …), until 2026-01-01T00:10:00Z"
    assert f"waiting      {waits}\n" in (await callscore("status", "r7")).out
    service.status = "completed"
    submitted = await callscore("submit", "--project", "a/b", "--scorer", REFUSAL, "c0")
    assert f"{waits}.\n" in submitted.err


async def test_cancelling_what_is_cancelled_is_well_and_what_is_completed_is_refused(
    callscore: Command, service: FakeService
) -> None:
    for status, code in (("cancelled", 0), ("completed", 1)):
        service.status, service.first = status, [problem(409, f"The request is {status}", "path", "request_id")]
        ended = await callscore("status", "r7", "--cancel")
        assert ended.code == code
        said = "The request is already cancelled.\n" if code == 0 else "The request is completed"
        assert said in ended.err


async def test_status_watches_until_the_request_is_finished_through_streams_that_end_early(
    callscore: Command, service: FakeService
) -> None:
    service.status, service.counts = "running", {"succeeded": 1, "queued": 1}
    watching = await callscore.start("status", "r7", "--watch", "--json")
    await service.looked.wait()
    service.status, service.counts = "completed", {"succeeded": 2}
    ended = await callscore.end(watching)
    assert (ended.code, json.loads(ended.out)["tasks"]["succeeded"]) == (0, 2)
    service.counts = {"succeeded": 1, "failed": 1}
    assert (await callscore("status", "r7", "--watch", "--json")).code == 1


async def test_status_of_one_shows_the_three_most_frequent_reasons_and_that_there_are_others(
    callscore: Command, service: FakeService
) -> None:
    service.counts, service.tasks = {"failed": 10}, [{"reason": reason} for reason in "aaaabbbccd"]
    lines = (await callscore("status", "r7")).out.splitlines()
    assert [line.split(None, 1)[1] for line in lines if line.startswith("failed")] == [
        "4: a",
        "3: b",
        "2: c",
        "and 1 with other reasons",
    ]


async def test_status_lists_and_shows_one(callscore: Command, service: FakeService) -> None:
    service.counts = {"succeeded": 3, "failed": 1}
    listed = await callscore("status")
    assert listed.out.splitlines()[1].split()[:6] == ["r0", "a/b", "completed", "100", "%", "4"]
    shown = await callscore("status", "r7")
    assert "tasks        3 succeeded, 1 failed\n" in shown.out
    assert json.loads((await callscore("status", "r7", "--json")).out)["request_id"] == "r7"
