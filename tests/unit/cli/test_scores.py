"""callscore scores: rows, summaries, and why there are none."""

import csv
import io
import json

import pytest
from rich.console import Console

from app.client import output
from app.client.scores import brief
from app.client.summary import by_group, comparison

from .command import Command
from .fake_service import REFUSAL, FakeService, score, scorer, summarized


def test_a_cancelled_task_says_what_became_of_it() -> None:
    assert brief({"status": "cancelled", "output": None}) == "its request was cancelled"


async def test_scores_and_their_summary_can_be_asked_as_of_a_time(callscore: Command, service: FakeService) -> None:
    service.scores = [score("c1")]
    for words in (["--json"], ["--summary", "--json"]):
        ended = await callscore("scores", "--project", "a/b", "--as-of", "2026-01-31T12:00:00+00:00", *words)
        assert ended.code == 0
        assert service.seen[-1].query["as_of"] == "2026-01-31T12:00:00+00:00"


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


async def test_only_scores_of_calls_that_did_not_pass_are_shown_on_request(
    callscore: Command, service: FakeService
) -> None:
    outputs: list[object] = [{"passed": False}, {"passed": True}, False, {"score": 0}, "no", {"passed": False}] * 20
    service.scores = [score(f"c{number}", output=output) for number, output in enumerate(outputs)]
    asked = ("scores", "--project", "a/b", "--not-passed")
    ended = await callscore(*asked, "--json")
    assert [json.loads(line)["output"] in (False, {"passed": False}) for line in ended.out.splitlines()] == [True] * 60
    assert service.seen[-1].query["status"] == "succeeded"
    ended = await callscore(*asked, "--limit", "3")
    assert [line.split()[0] for line in ended.out.splitlines()] == ["CALL", "c0", "c2", "c5"]
    assert ended.err == "Only the first 3 are shown. Use --limit N for more, --json or --csv for all.\n"
    assert (await callscore(*asked, "--limit", "60")).err == ""
    service.scores = [score("c1")]
    assert (await callscore(*asked)).out == "No scores match.\n"


async def test_the_lowest_and_highest_scores_are_found_on_all_pages(callscore: Command, service: FakeService) -> None:
    numbers = [5, 3, None, 9, 3, 1, 7, 3, 0.5, 9]
    service.scores = [
        score(f"c{place}", output={"score": number, "passed": number != 9} if number else "none")
        for place, number in enumerate(numbers)
    ]
    service.page = 4
    asked = ("scores", "--project", "a/b", "--scorer", REFUSAL, "--json")
    for words, wanted in (
        (("--lowest", "4"), ["c8", "c5", "c1", "c4"]),
        (("--highest", "3"), ["c3", "c9", "c6"]),
        (("--highest", "3", "--not-passed"), ["c3", "c9"]),
        (("--lowest", "100"), ["c8", "c5", "c1", "c4", "c7", "c0", "c6", "c3", "c9"]),
    ):
        ended = await callscore(*asked, *words)
        assert [json.loads(line)["call_id"] for line in ended.out.splitlines()] == wanted
    table = await callscore(*asked[:-1], "--lowest", "2")
    assert ([line.split()[0] for line in table.out.splitlines()], table.err) == (["CALL", "c8", "c5"], "")


async def test_calls_are_shown_beside_their_scores(callscore: Command, service: FakeService) -> None:
    call: dict[str, object] = {
        "id": "c1", "inputs": {"question": "Where?"}, "output": "On its way.\nSoon.", "attributes": {"model": "m"},
    }  # fmt: skip
    service.calls = {"c1": call, "c2": {"id": "c2", "inputs": {}, "output": None, "exception": "E", "attributes": {}}}
    service.scores = [score(f"c{number}", scorer_ref=f"r{scorer}") for number in (1, 2, 3) for scorer in range(15)]
    ended = await callscore("scores", "--project", "a/b", "--json", "--with-calls")
    found = [json.loads(line) for line in ended.out.splitlines()]
    assert [(item["call_id"], item["call"]) for item in found] == [
        (f"c{number}", service.calls.get(f"c{number}")) for number in (1, 2, 3) for _ in range(15)
    ]
    ended = await callscore("scores", "--project", "a/b", "--csv", "--with-calls")
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert [
        [row[f"call_{name}"] for name in ("inputs", "output", "exception", "attributes")] for row in rows[::15]
    ] == [
        ['{"question":"Where?"}', "On its way.\\nSoon.", "", '{"model":"m"}'],
        ["{}", "", "E", "{}"],
        [""] * 4,
    ]


async def test_the_table_says_how_to_see_more(callscore: Command, service: FakeService) -> None:
    service.scores = [score(f"c{number}") for number in range(60)]
    ended = await callscore("scores", "--project", "a/b")
    assert ended.out.count("\n") == 51
    assert ended.err == "Only the first 50 are shown. Use --limit N for more, --json or --csv for all.\n"
    ended = await callscore("scores", "--project", "a/b", "--limit", "1")
    assert ended.err == "Only the first one is shown. Use --limit N for more, --json or --csv for all.\n"
    assert "\x1b" not in ended.out


@pytest.mark.parametrize("words", [(), ("--summary",)])
async def test_why_there_are_no_scores_is_said(
    callscore: Command, service: FakeService, words: tuple[str, ...]
) -> None:
    asked = ("scores", "--project", "a/b", "--as-of", "2026-01-31T12:00:00Z", *words)
    ended = await callscore(*asked)
    nothing = "The project a/b has no calls. Import some with: callscore calls import\n"
    assert (ended.code, ended.out) == (0, nothing)
    service.calls = {"c1": {"id": "c1"}}
    unscored = "No call of a/b has a score yet. Submit calls with: callscore submit --project a/b --scorer NAME\n"
    assert (await callscore(*asked)).out == unscored
    service.of_other_times = [score("c1")]
    assert (await callscore(*asked)).out == "No scores match.\n"


@pytest.mark.parametrize(
    ("calls", "gaps", "said"),
    [
        (1, 0, "1 of 1 call has a score."),
        (1, 1, "0 of 1 call has a score, 1 never asked."),
        (2, 1, "1 of 2 calls has a score, 1 never asked."),
        (3, 1, "2 of 3 calls have a score, 1 never asked."),
    ],
)
async def test_how_many_calls_have_a_score_is_said(
    callscore: Command, service: FakeService, calls: int, gaps: int, said: str
) -> None:
    service.calls = {f"c{number}": {} for number in range(calls)}
    service.gaps = {REFUSAL: list(service.calls)[:gaps]}
    ended = await callscore("scores", "--project", "a/b", "--scorer", REFUSAL, "--gaps")
    assert ended.out.splitlines()[-1] == said


@pytest.mark.parametrize("words", [(), ("--json",), ("--csv",)])
async def test_who_asks_for_what_was_cancelled_is_told_where_what_had_not_begun_is(
    callscore: Command, service: FakeService, words: tuple[str, ...]
) -> None:
    service.scores = [score("c1", status="cancelled", output=None)]
    hint = "Tasks that were cancelled before they started have no score. To list them, run: "
    hint += "callscore scores --project a/b "
    asked = ("scores", "--project", "a/b", "--status", "cancelled", *words)
    assert (await callscore(*asked)).err == f"{hint}--scorer NAME --gaps\n"
    assert (await callscore(*asked, "--scorer", REFUSAL)).err == f"{hint}--scorer {REFUSAL} --gaps\n"
    service.scores = []
    assert (await callscore(*asked)).err.startswith(hint)
    assert (await callscore("scores", "--project", "a/b", "--status", "failed", *words)).err == ""


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
        f"'gone' is not installed, and 2 versions of it have scores in a/b. Use the ref of one: {older}, {old}\n",
    )
    ended = await callscore("scores", "--project", "a/b", "--scorer", "never")
    assert (ended.code, ended.err) == (2, "There is no scorer named 'never' in a/b. The scorers are: none.\n")


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
    assert (await callscore(*asked)).out.endswith(f" Other versions of refusal have scores: {former}\n")


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


async def test_the_summary_shows_pass_rates_and_means_of_how_many_and_failures(
    callscore: Command, service: FakeService
) -> None:
    passed: dict[str, object] = {"type": "boolean", "n": 2, "true": 0.5}
    mean = {"type": "number", "n": 2, "mean": 0.75}
    tone, tone_2 = (f"callscore:///scorer/tone:{letter * 40}" for letter in "ab")
    service.summary = [
        summarized("callscore:///scorer/plain:1", "m1", {"text": {"type": "string", "n": 2}}),
        summarized(REFUSAL, "m1", {"passed": {**passed, "n": 1040}, "score": mean}, 1),
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
        ["refusal", "passed", "50% of 1,040, 1 failed", "-", "100% of 2"],
        ["tone:aaaaaaaa", "mean", "0.75 of 2", "-, 1,234 failed", "-"],
        ["tone:bbbbbbbb", "passed", "-", "50% of 2", "-"],
    ]
    listed = await callscore("scores", "--project", "a/b", "--summary", "--json")
    assert [json.loads(line) for line in listed.out.splitlines()] == service.summary


async def test_columns_by_what_no_call_has_are_told(callscore: Command, service: FakeService) -> None:
    service.summary = [summarized(REFUSAL, None, {})]
    ended = await callscore("scores", "--project", "a/b", "--summary", "--by", "attributes.nope")
    assert ended.err == "No call with a score has attributes.nope.\n"
    service.calls = {"c1": {"attributes": {"model": "m"}}, "c2": {"attributes": {"env": "prod", "model": "m"}}}
    ended = await callscore("scores", "--project", "a/b", "--summary", "--by", "attributes.nope")
    assert (
        ended.err
        == "No call with a score has attributes.nope. The first calls have: attributes.model, attributes.env.\n"
    )
    service.summary, service.scores = [], [score("c1")]
    ended = await callscore("scores", "--project", "a/b", "--summary", "--scorer", REFUSAL)
    assert ended.out == f"There are no scores by {REFUSAL}.\n"


def test_a_pass_rate_is_all_or_none_only_if_it_is() -> None:
    shares = (0.0, 0.0004, 0.007, 0.2, 0.996, 0.9999, 1.0)
    items = [
        summarized(REFUSAL, str(n), {"passed": {"type": "boolean", "n": 9, "true": share}})
        for n, share in enumerate(shares)
    ]
    shown = [cell.removesuffix(" of 9") for cell in comparison(items)[1][0][2:]]
    assert shown == ["0%", "<0.1%", "0.7%", "20%", "99.6%", ">99.9%", "100%"]


def test_a_summary_is_sorted_by_the_names_of_scorers_as_people_sort() -> None:
    sorted_names = ["check", "check_1", "check_2", "check_10", "polite", "polite2"]
    items = [summarized(f"callscore:///scorer/{name}:1", None, {}) for name in sorted(sorted_names, reverse=True)]
    assert [row[0] for row in comparison(items)[1]] == sorted_names


@pytest.mark.parametrize("groups", [3, 50])
def test_a_summary_loses_nothing_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], groups: int
) -> None:
    passed: dict[str, object] = {"passed": {"type": "boolean", "n": 1040, "true": 0.5}}
    named = [f"model-{number}" for number in range(groups)]
    items = [summarized(REFUSAL, group, passed, 17) for group in named]
    for width in (40, 47, 60, 80, 100):
        monkeypatch.setattr(output, "stdout", lambda width=width: Console(width=width, soft_wrap=True))
        output.fitting_table([comparison(items), by_group(items)])
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= width
        words = " ".join(lines).split()
        assert (words.count("50%"), words.count("1,040,"), words.count("failed")) == (groups,) * 3, lines
        assert set(named) < set(words)


def test_a_summary_has_a_column_for_each_group_where_they_fit_and_else_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    items = [summarized(REFUSAL, group, {"": {"type": "string", "n": 2}}) for group in ("a" * 20, "b" * 20)]
    for width, shown in ((80, 2), (50, 3)):
        monkeypatch.setattr(output, "stdout", lambda width=width: Console(width=width, soft_wrap=True))
        output.fitting_table([comparison(items), by_group(items)])
        assert len(capsys.readouterr().out.splitlines()) == shown
