import asyncio
import csv
import io
import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from app.client import requests
from app.client.scorers import parameters
from app.client.summary import comparison
from app.client.text import clean, json_line
from app.keys import KeyFile

from .command import Command
from .fake_service import REFUSAL, FakeService


def scorer(name: str, ref: str, project: str | None = None) -> dict[str, object]:
    return {"ref": ref, "name": name, "kind": "k", "description": "d", "params": {}, "project_id": project}


def score(call: str, **more: object) -> dict[str, object]:
    return {
        "project_id": "a/b", "call_id": call, "scorer_ref": REFUSAL, "scorer_name": "refusal", "status": "succeeded",
        "output": {"passed": True}, "attempts": 1, "revision": 1, "scored_at": "2026-01-01T00:00:00Z",
        "op_name": "answer", "lineage": {}, **more,
    }  # fmt: skip


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
    ended = await callscore("submit", "--project", "a/b", *scorers[4:], "--gaps")
    assert (ended.code, ended.out.strip(), len(service.submitted)) == (0, "There are no gaps.", 2)
    ended = await callscore("submit", "--project", "a/b", *scorers, "--gaps", "c1")
    assert ended.code == 2


async def test_scores_and_their_summary_can_be_asked_as_of_a_time(callscore: Command, service: FakeService) -> None:
    service.scores = [score("c1")]
    for words in (["--json"], ["--summary", "--json"]):
        ended = await callscore("scores", "--project", "a/b", "--as-of", "2026-01-31T12:00:00+00:00", *words)
        assert ended.code == 0
        assert service.seen[-1].query["as_of"] == "2026-01-31T12:00:00+00:00"


async def test_a_name_means_the_project_s_own_latest_version(callscore: Command, service: FakeService) -> None:
    service.scorers = [
        scorer("tone", "callscore:///scorer/tone:everybody"),
        scorer("tone", "callscore:///scorer/tone:new", "a/b"),
        scorer("tone", "callscore:///scorer/tone:old", "a/b"),
    ]
    service.counts = {"succeeded": 1}
    assert (await callscore("submit", "--project", "a/b", "--scorer", "tone", "c1")).code == 0
    assert service.submitted[0]["scorer_refs"] == ["callscore:///scorer/tone:new"]


async def test_an_unknown_scorer_is_named_with_those_that_exist(callscore: Command, service: FakeService) -> None:
    service.scorers = [scorer("refusal", REFUSAL)]
    ended = await callscore("submit", "--project", "a/b", "--scorer", "tone", "c1")
    assert (ended.code, ended.err) == (2, "There is no scorer named 'tone' in a/b; there are: refusal.\n")


KIND = {
    "kind": "AtMost",
    "description": "Few words.",
    "params": {"properties": {"words": {"type": "integer"}}, "required": ["words"], "title": "AtMost"},
}


async def test_a_kind_that_is_named_as_a_scorer_is_told_to_be_published_first(
    callscore: Command, service: FakeService
) -> None:
    service.scorers, service.kinds = [scorer("refusal", REFUSAL)], [KIND]
    ended = await callscore("submit", "--project", "a/b", "--scorer", "AtMost", "c1")
    assert ended.code == 2
    assert ended.err == (
        "'AtMost' is a kind of scorer, which has to be published with its parameters first: "
        "callscore scorers publish NAME --kind AtMost --param words=… --project a/b\n"
    )


async def test_kinds_are_listed_with_their_parameters(callscore: Command, service: FakeService) -> None:
    field = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}], "default": None}
    unit = {"enum": ["characters", "words"], "default": "words", "description": "What is counted."}
    service.kinds = [KIND, {"kind": "k", "description": "d", "params": {"properties": {"some": field, "unit": unit}}}]
    ended = await callscore("scorers", "--kinds")
    shown = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert shown == [
        "KIND PARAMETER TYPE DEFAULT DESCRIPTION",
        "AtMost Few words.",
        "words integer required",
        "k d",
        "some array of string or null null",
        'unit "characters" or "words" "words" What is counted.',
    ]
    listed = await callscore("scorers", "--kinds", "--json")
    assert [json.loads(line) for line in listed.out.splitlines()] == service.kinds


async def test_ctrl_c_while_waiting_says_that_the_work_goes_on(callscore: Command, service: FakeService) -> None:
    service.status, service.counts = "running", {"queued": 1}
    process = await callscore.start("submit", "--project", "a/b", "--scorer", REFUSAL, "c1")
    await asyncio.wait_for(service.looked.wait(), 30)
    process.send_signal(signal.SIGINT)
    ended = await callscore.end(process)
    assert (ended.code, ended.out) == (130, "")
    assert ended.err.strip().splitlines()[-1] == "The work goes on; follow it with: callscore status r0"


def test_the_rate_counts_only_what_was_run() -> None:
    def told(reused: int) -> str:
        return requests.summary([{"tasks": {"total": 100, "succeeded": 100, "reused": reused}}], 2.0)

    assert told(0) == "100 tasks: 100 succeeded in 2.0 s, 50/s"
    assert told(90) == "100 tasks: 100 succeeded (90 reused) in 2.0 s, 5/s"
    assert told(100) == "100 tasks: 100 succeeded (100 reused) in 2.0 s"


def test_the_rate_of_slow_scorers_is_no_zero() -> None:
    def told(ended: int, elapsed: float) -> str:
        tasks = Counter(total=40, succeeded=ended, queued=40 - ended)
        return requests.words(tasks, ended, elapsed)

    assert told(3, 30.0) == "3 of 40 tasks, 6/min"
    assert told(3, 2.0) == "3 of 40 tasks, 1.5/s"
    assert told(1, 1800.0) == "1 of 40 tasks, 2/h"
    assert told(0, 30.0) == "0 of 40 tasks"
    assert told(40, 0.01) == "40 of 40 tasks, 4,000/s"
    slow = requests.summary([{"tasks": {"total": 40, "succeeded": 38, "failed": 2, "reused": 0}}], 100.0)
    assert slow == "40 tasks: 38 succeeded, 2 failed in 1 min 40 s, 24/min"
    hindered = Counter(total=9, succeeded=1, failed=2, paused=3, waiting_for_call=3)
    assert requests.words(hindered, 3, 1.0) == "3 of 9 tasks, 3/s, 2 failed, 3 paused, 3 waiting for their call"


async def test_status_of_one_shows_the_three_most_frequent_reasons(callscore: Command, service: FakeService) -> None:
    service.counts, service.tasks = {"failed": 10}, [{"reason": reason} for reason in "aaaabbbccd"]
    lines = (await callscore("status", "r7")).out.splitlines()
    assert [line.split(None, 1)[1] for line in lines if line.startswith("failed")] == ["4: a", "3: b", "2: c"]


async def test_failed_tasks_exit_1_with_the_three_most_frequent_reasons(
    callscore: Command, service: FakeService
) -> None:
    service.counts = {"succeeded": 5, "failed": 10}
    service.tasks = [{"reason": reason} for reason in "aaaabbbccd"]
    service.page = 4
    ended = await callscore("submit", "--project", "a/b", "--scorer", REFUSAL, "c1")
    assert ended.code == 1
    assert ended.out.startswith("15 tasks: 5 succeeded, 10 failed in ")
    assert ended.err.splitlines()[-3:] == ["4 failed: a", "3 failed: b", "2 failed: c"]


async def test_submit_json_prints_the_final_request(callscore: Command, service: FakeService) -> None:
    service.counts = {"succeeded": 1}
    ended = await callscore("submit", "--project", "a/b", "--scorer", REFUSAL, "--json", "c1")
    assert json.loads(ended.out)["tasks"]["succeeded"] == 1


async def test_no_wait_prints_the_request_id(callscore: Command, service: FakeService) -> None:
    ended = await callscore("submit", "--project", "a/b", "--scorer", REFUSAL, "--no-wait", "c1")
    assert (ended.code, ended.out) == (0, "r0\n")


async def test_ids_come_from_stdin_and_count_once(callscore: Command, service: FakeService) -> None:
    service.counts = {"succeeded": 2}
    arguments = ("submit", "--project", "a/b", "--scorer", REFUSAL, "--calls-from", "-", "--rescore", "again")
    ended = await callscore(*arguments, given=b"c1\n\nc2\r\nc1\n")
    assert ended.code == 0
    assert service.submitted[0]["call_ids"] == ["c1", "c2"]
    posted = next(request for request in service.seen if request.method == "POST")
    assert posted.headers["Callscore-Rescore"] == "again"
    assert posted.headers["Idempotency-Key"]


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
    assert ended.err == "The project a/b has no calls; import some with: callscore calls import\n"


def test_what_is_too_much_for_one_request_becomes_several() -> None:
    assert [len(part) for part in requests.parts([str(number) for number in range(200_001)])] == [100_000, 100_000, 1]
    assert len(requests.parts([f"{number:0512d}" for number in range(100_000)])) == 3


async def test_status_lists_and_shows_one(callscore: Command, service: FakeService) -> None:
    service.counts = {"succeeded": 3, "failed": 1}
    listed = await callscore("status")
    assert listed.out.splitlines()[1].split()[:6] == ["r0", "a/b", "completed", "100", "%", "4"]
    shown = await callscore("status", "r7")
    assert "tasks        3 succeeded, 1 failed\n" in shown.out
    assert json.loads((await callscore("status", "r7", "--json")).out)["request_id"] == "r7"


async def test_scores_json_pages_to_the_end(callscore: Command, service: FakeService) -> None:
    service.scores = [score(f"c{number}") for number in range(25)]
    service.page = 10
    ended = await callscore("scores", "--project", "a/b", "--json")
    assert [json.loads(line)["call_id"] for line in ended.out.splitlines()] == [f"c{n}" for n in range(25)]
    limited = await callscore("scores", "--project", "a/b", "--json", "--limit", "12")
    assert limited.out.count("\n") == 12


async def test_scores_csv_keeps_everything_in_its_column(callscore: Command, service: FakeService) -> None:
    failed = {"status": "failed", "output": None, "error": {"type": "ValueError", "message": 'a,"b"\n\x1bc'}}
    service.scores = [
        score("c1", output={"score": 0.5, "why": "x,\x9by"}),
        score("c2", **failed),
        score("c3", output=True),
    ]
    ended = await callscore("scores", "--project", "a/b", "--csv")
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert [row["call_id"] for row in rows] == ["c1", "c2", "c3"]
    assert (rows[0]["score"], json.loads(rows[0]["output"])) == ("0.5", {"score": 0.5, "why": "x,\x9by"})
    assert (rows[1]["error_type"], rows[1]["error_message"], rows[1]["output"]) == ("ValueError", 'a,"b"\\n\\x1bc', "")
    assert rows[2]["passed"] == "true"
    assert "\x9b" not in ended.out


async def test_the_table_says_how_to_see_more(callscore: Command, service: FakeService) -> None:
    service.scores = [score(f"c{number}") for number in range(60)]
    ended = await callscore("scores", "--project", "a/b")
    assert ended.out.count("\n") == 51
    assert ended.err == "The first 50 are shown; more with --limit N, all with --json or --csv.\n"
    assert "\x1b" not in ended.out


@pytest.mark.parametrize("words", [(), ("--summary",)])
async def test_why_there_are_no_scores_is_said(
    callscore: Command, service: FakeService, words: tuple[str, ...]
) -> None:
    asked = ("scores", "--project", "a/b", "--as-of", "2026-01-31T12:00:00Z", *words)
    ended = await callscore(*asked)
    nothing = "The project a/b has no calls; import some with: callscore calls import\n"
    assert (ended.code, ended.out) == (0, nothing)
    service.calls = {"c1": {"id": "c1"}}
    unscored = "No call of a/b has a score yet; ask for some with: callscore submit --project a/b\n"
    assert (await callscore(*asked)).out == unscored
    service.of_other_times = [score("c1")]
    assert (await callscore(*asked)).out == "No scores match.\n"


async def test_scores_filters_reach_the_service(callscore: Command, service: FakeService) -> None:
    service.scorers, service.scores = [scorer("refusal", REFUSAL)], [score("c 1")]
    await callscore("scores", "--project", "a/b", "--call", "c 1", "--scorer", "refusal", "--status", "failed")
    query = dict(service.seen[-1].query)
    assert query.pop("limit")
    assert query == {"project_id": "a/b", "call_id": "c 1", "scorer_ref": REFUSAL, "status": "failed"}


async def test_scores_of_a_scorer_whose_code_is_gone_are_found_by_its_name(
    callscore: Command, service: FakeService
) -> None:
    old, older = "callscore:///scorer/gone:2", "callscore:///scorer/gone:1"
    service.summary, service.scores = [summarized(REFUSAL, None, {}), summarized(old, None, {})], [score("c1")]
    for words in ((), ("--json",), ("--summary",)):
        assert (await callscore("scores", "--project", "a/b", "--scorer", "gone", *words)).code == 0
        assert service.seen[-1].query["scorer_ref"] == old
    service.summary.append(summarized(older, None, {}))
    ended = await callscore("scores", "--project", "a/b", "--scorer", "gone")
    assert (ended.code, ended.err) == (
        2,
        "No code of 'gone' is installed, and 2 versions of it have scores in a/b; "
        f"name one by its ref: {older}, {old}\n",
    )
    ended = await callscore("scores", "--project", "a/b", "--scorer", "never")
    assert (ended.code, ended.err) == (2, "There is no scorer named 'never' in a/b; there are: none.\n")


@pytest.mark.parametrize("words", [(), ("--summary",)])
async def test_scores_of_other_versions_of_a_scorer_are_told_of_where_the_latest_has_none(
    callscore: Command, service: FakeService, words: tuple[str, ...]
) -> None:
    former = "callscore:///scorer/refusal:0"
    service.scorers, service.of_other_times = [scorer("refusal", REFUSAL)], [score("c1")]
    asked = ("scores", "--project", "a/b", "--scorer", "refusal", "--as-of", "2026-01-31T12:00:00Z", *words)
    assert "Other versions" not in (await callscore(*asked)).out
    service.summary_of_other_times = [summarized(REFUSAL, None, {})]
    assert "Other versions" not in (await callscore(*asked)).out
    service.summary_of_other_times = [summarized(former, None, {})]
    assert (await callscore(*asked)).out.endswith(f" Other versions of refusal have some: {former}\n")


async def test_failed_scores_show_type_and_message_and_the_traceback_in_json(
    callscore: Command, service: FakeService
) -> None:
    error = {"type": "LookupError", "message": "no such thing", "traceback": "Traceback (most recent call last)…"}
    service.scores = [score("c1", status="failed", output=None, error=error)]
    arguments = ("scores", "--project", "a/b", "--status", "failed")
    table = (await callscore(*arguments)).out
    assert "LookupError: no such thing" in table
    assert "Traceback" not in table
    assert json.loads((await callscore(*arguments, "--json")).out)["error"] == error


def summarized(ref: str, group: str | None, outputs: dict[str, object], failed: int = 0) -> dict[str, object]:
    name = ref.rpartition("/")[2].partition(":")[0]
    succeeded = 2 if outputs else 0
    return {
        "scorer_ref": ref, "scorer_name": name, "group": group, "succeeded": succeeded, "failed": failed,
        "failures": {"E": failed} if failed else {}, "outputs": outputs, "outputs_complete": True,
    }  # fmt: skip


async def test_the_summary_shows_pass_rates_means_and_failures(callscore: Command, service: FakeService) -> None:
    passed: dict[str, object] = {"type": "boolean", "n": 2, "true": 0.5}
    mean = {"type": "number", "n": 2, "mean": 0.75}
    tone, tone_2 = (f"callscore:///scorer/tone:{letter * 40}" for letter in "ab")
    service.summary = [
        summarized("callscore:///scorer/plain:1", "m1", {"text": {"type": "string", "n": 2}}),
        summarized(REFUSAL, "m1", {"passed": passed, "score": mean}, 1),
        summarized(REFUSAL, None, {"passed": {**passed, "true": 1.0}}),
        summarized(tone, "m1", {"": mean}),
        summarized(tone, "m2", {}, 1234),
        summarized(tone_2, "m2", {"": passed}),
    ]
    ended = await callscore("scores", "--project", "a/b", "--summary", "--by", "attributes.model")
    assert dict(service.seen[-1].query) == {"project_id": "a/b", "group_by": "attributes.model"}
    assert [[cell.strip() for cell in line.split("  ") if cell] for line in ended.out.splitlines()] == [
        ["SCORER", "SHOWN", "m1", "m2", "(none)"],
        ["plain", "scored", "2", "-", "-"],
        ["refusal", "passed", "50%, 1 failed", "-", "100%"],
        ["tone:aaaaaaaa", "mean", "0.75", "-, 1,234 failed", "-"],
        ["tone:bbbbbbbb", "passed", "-", "50%", "-"],
    ]
    listed = await callscore("scores", "--project", "a/b", "--summary", "--json")
    assert [json.loads(line) for line in listed.out.splitlines()] == service.summary


async def test_columns_by_what_no_call_has_are_told(callscore: Command, service: FakeService) -> None:
    service.summary = [summarized(REFUSAL, None, {})]
    ended = await callscore("scores", "--project", "a/b", "--summary", "--by", "attributes.nope")
    assert ended.err == "No call has attributes.nope.\n"
    service.summary, service.scores = [], [score("c1")]
    ended = await callscore("scores", "--project", "a/b", "--summary", "--scorer", REFUSAL)
    assert ended.out == f"There are no scores by {REFUSAL}.\n"


def test_a_pass_rate_is_all_or_none_only_if_it_is() -> None:
    shares = (0.0, 0.0004, 0.2, 0.996, 0.9999, 1.0)
    items = [
        summarized(REFUSAL, str(n), {"passed": {"type": "boolean", "true": share}}) for n, share in enumerate(shares)
    ]
    assert comparison(items)[1][0][2:] == ["0%", "<1%", "20%", ">99%", ">99%", "100%"]


def test_defaults_of_parameters_are_short() -> None:
    default = {"temperature": 0.0, "top_p": None, "seed": None}
    long = {"type": "string", "default": "x" * 100}
    found = parameters({"properties": {"parameters": {"type": "object", "default": default}, "long": long}})
    assert found[0][2] == '{"temperature":0.0}'
    assert len(found[1][2]) <= 30


async def test_publishing_for_all_projects_is_said(callscore: Command) -> None:
    arguments = ("scorers", "publish", "s", "--kind", "contains", "--param", "text=refund")
    assert "for all projects" in (await callscore(*arguments)).err
    assert (await callscore(*arguments, "--project", "a/b")).err == ""


async def test_publishing_reads_parameters_as_json_else_as_text(callscore: Command, service: FakeService) -> None:
    arguments = ("scorers", "publish", "s", "--kind", "contains", "--param", "text=refund", "--param", "n=3")
    ended = await callscore(*arguments, "--param", 'q="42"', "--param", "e=a=b")
    assert (ended.code, ended.out) == (0, "callscore:///scorer/s:1\n")
    assert service.scorers[0]["params"] == {"text": "refund", "n": 3, "q": "42", "e": "a=b"}
    assert (await callscore("scorers", "publish", "s", "--kind", "length", "--params", '{"max": 9}')).code == 0
    assert service.scorers[1]["params"] == {"max": 9}


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
    assert "No project is named 'noslash'" in warned.err
    assert "No project" not in (await command("keys", "add", file, "--user", "ann", "--project", "*")).err


def test_text_is_made_safe() -> None:
    assert clean("a\x1b[0m\n\x9b\u202eb") == "a\\x1b[0m\\n\\x9b\\u202eb"
    assert clean("abcdef", 4) == "abc…"
    assert json.loads(json_line({"a": "\x1b\x9b\u202e\x7f"})) == {"a": "\x1b\x9b\u202e\x7f"}
    assert json_line("\x9b") == '"\\u009b"'
