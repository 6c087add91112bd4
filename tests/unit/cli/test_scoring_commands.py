import csv
import io
import json
from pathlib import Path

from app.client import requests
from app.client.sample import comparison
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
    assert (ended.code, ended.err) == (1, "There is no scorer named 'tone' in a/b; there are: refusal.\n")


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


async def test_scores_filters_reach_the_service(callscore: Command, service: FakeService) -> None:
    service.scorers = [scorer("refusal", REFUSAL)]
    await callscore("scores", "--project", "a/b", "--call", "c 1", "--scorer", "refusal", "--status", "failed")
    query = dict(service.seen[-1].query)
    assert query.pop("limit")
    assert query == {"project_id": "a/b", "call_id": "c 1", "scorer_ref": REFUSAL, "status": "failed"}


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


def test_the_comparison_shows_pass_rates_means_and_failures() -> None:
    models = {"c1": "m1", "c2": "m1", "c3": "m2"}
    refs = ["similar", "refusal", "length", "empty"]
    found = [
        score("c1", scorer_ref="similar", output={"score": 0.5}),
        score("c2", scorer_ref="similar", output={"score": 1.0}),
        score("c3", scorer_ref="similar", status="failed", output=None),
        score("c1", scorer_ref="refusal"),
        score("c2", scorer_ref="refusal", output={"passed": False}),
        score("elsewhere", scorer_ref="refusal", output={"passed": False}),
    ]
    headings, rows = comparison(found, models, refs)
    assert headings[2:] == ["m1", "m2"]
    assert [row[2:] for row in rows] == [["0.75", "-, 1 failed"], ["50%", "-"], ["-", "-"], ["-", "-"]]


def test_text_is_made_safe() -> None:
    assert clean("a\x1b[0m\n\x9b\u202eb") == "a\\x1b[0m\\n\\x9b\\u202eb"
    assert clean("abcdef", 4) == "abc…"
    assert json.loads(json_line({"a": "\x1b\x9b\u202e\x7f"})) == {"a": "\x1b\x9b\u202e\x7f"}
    assert json_line("\x9b") == '"\\u009b"'
