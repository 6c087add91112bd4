"""callscore scorers, and how a scorer is named in other commands."""

import json
from pathlib import Path

from app.client.scorers import parameters

from .command import Command
from .fake_service import REFUSAL, FakeService, scorer

KIND = {
    "kind": "AtMost",
    "description": "Few words.",
    "params": {"properties": {"words": {"type": "integer"}}, "required": ["words"], "title": "AtMost"},
}


async def test_a_name_means_the_project_s_own_latest_version(callscore: Command, service: FakeService) -> None:
    service.scorers = [
        scorer("tone", "callscore:///scorer/tone:everybody"),
        scorer("tone", "callscore:///scorer/tone:new", "a/b"),
        scorer("tone", "callscore:///scorer/tone:old", "a/b"),
    ]
    service.counts = {"succeeded": 1}
    assert (await callscore("submit", "--project", "a/b", "--scorer", "tone", "c1")).code == 0
    assert service.submitted[0]["scorer_refs"] == ["callscore:///scorer/tone:new"]


async def test_scorers_are_listed_by_name_as_people_sort(callscore: Command, service: FakeService) -> None:
    service.scorers = [scorer(name, f"callscore:///scorer/{name}:1") for name in ("check_10", "polite2", "check_2")]
    shown = (await callscore("scorers")).out.splitlines()
    assert [line.split()[0] for line in shown] == ["NAME", "check_2", "check_10", "polite2"]


async def test_an_unknown_scorer_is_named_with_those_that_exist(callscore: Command, service: FakeService) -> None:
    service.scorers = [scorer("refusal", REFUSAL)]
    ended = await callscore("submit", "--project", "a/b", "--scorer", "tone", "c1")
    assert (ended.code, ended.err) == (2, "There is no scorer named 'tone' in a/b. The scorers are: refusal.\n")


async def test_a_kind_that_is_named_as_a_scorer_is_told_to_be_published_first(
    callscore: Command, service: FakeService
) -> None:
    service.scorers, service.kinds = [scorer("refusal", REFUSAL)], [KIND]
    ended = await callscore("submit", "--project", "a/b", "--scorer", "AtMost", "c1")
    assert ended.code == 2
    assert ended.err == (
        "'AtMost' is a kind of scorer. Publish it with its parameters first: "
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


async def test_options_before_a_command_of_scorers_are_refused_and_not_ignored(
    callscore: Command, service: FakeService
) -> None:
    publish = ("publish", "s", "--kind", "contains")
    for options in (("--project", "a/b"), ("--url", service.url), ("--json",)):
        ended = await callscore("scorers", *options, *publish)
        assert (ended.code, service.scorers) == (2, [])
        assert ended.err == (
            "Put the options after the command: callscore scorers publish …; see: callscore scorers --help\n"
        )
    assert (await callscore("scorers", *publish)).code == 0


async def test_publishing_reads_parameters_as_json_else_as_text(callscore: Command, service: FakeService) -> None:
    arguments = ("scorers", "publish", "s", "--kind", "contains", "--param", "text=refund", "--param", "n=3")
    ended = await callscore(*arguments, "--param", 'q="42"', "--param", "e=a=b")
    assert (ended.code, ended.out) == (0, "callscore:///scorer/s:1\n")
    assert service.scorers[0]["params"] == {"text": "refund", "n": 3, "q": "42", "e": "a=b"}
    assert (await callscore("scorers", "publish", "s", "--kind", "length", "--params", '{"max": 9}')).code == 0
    assert service.scorers[1]["params"] == {"max": 9}


async def test_parameters_may_be_in_files_and_text_may_begin_with_an_at_sign(
    callscore: Command, service: FakeService, tmp_path: Path
) -> None:
    prompt, judge, latin = tmp_path / "prompt.txt", tmp_path / "judge.json", tmp_path / "latin"
    prompt.write_text("Is this polite?\n{output}\n\n")
    judge.write_text('{"prompt": "Größe?",\n "max": 1}\n')
    latin.write_bytes("Größe".encode("latin-1"))
    publish = ("scorers", "publish", "s", "--kind", "llm_judge")
    texts = [word for text in ("at=@", 'home="@home"', "mail=a@b") for word in ("--param", text)]
    assert (await callscore(*publish, "--param", f"prompt=@{prompt}", "--param", f"all=@{judge}", *texts)).code == 0
    assert service.scorers[-1]["params"] == {
        "prompt": "Is this polite?\n{output}", "all": {"prompt": "Größe?", "max": 1},
        "at": "@", "home": "@home", "mail": "a@b",
    }  # fmt: skip
    assert (await callscore(*publish, "--params", f"@{judge}")).code == 0
    assert (await callscore(*publish, "--params", "@-", given=judge.read_bytes())).code == 0
    assert service.scorers[-1]["params"] == service.scorers[-2]["params"] == {"prompt": "Größe?", "max": 1}
    for words, told in (
        (("--param", "text=@home"), "--param text: the file 'home' cannot be read (No such file or directory); "),
        (("--param", f"text=@{latin}"), f"--param text: the file '{latin}' is not UTF-8;"),
        (("--params", f"@{prompt}"), "--params must be a JSON object;"),
    ):
        ended = await callscore(*publish, *words)
        assert (ended.code, ended.err.count("\n")) == (2, 1)
        assert ended.err.startswith(told)
    assert len(service.scorers) == 3


async def test_costs_are_told_by_day_with_their_sum_and_what_is_not_counted(
    callscore: Command, service: FakeService
) -> None:
    cost = {"usd": 0.5, "requests": 1000, "input_tokens": 20, "output_tokens": 3}
    known = cost | {"unpriced_requests": 0, "unanswered_requests": 0}
    unknown = cost | {"usd": None, "unpriced_requests": 2, "unanswered_requests": 1}
    service.costs = {
        "items": [
            {"day": "2026-01-01T00:00:00.000000Z", "scorer_ref": REFUSAL, "scorer_name": "refusal", "cost": known},
            {"day": "2026-01-02T06:00:00.000000Z", "scorer_ref": REFUSAL, "scorer_name": "refusal", "cost": unknown},
        ],
        "total": unknown | {"usd": 0.5, "requests": 2000},
    }
    costs = ("scorers", "costs", "--project", "a/b")
    shown = [" ".join(line.split()) for line in (await callscore(*costs)).out.splitlines()]
    assert shown == [
        "DAY REQUESTS INPUT TOKENS OUTPUT TOKENS USD NOT COUNTED SCORER",
        f"2026-01-01 1,000 20 3 0.5 {REFUSAL}",
        f"2026-01-02T06:00:00.000000Z 1,000 20 3 unknown 2 without a price, 1 without an answer {REFUSAL}",
        "total 2,000 20 3 0.5 2 without a price, 1 without an answer",
    ]
    listed = await callscore(*costs, "--json", "--since", "2026-01-01T00:00:00Z")
    assert [json.loads(line) for line in listed.out.splitlines()] == service.costs["items"]
    assert service.seen[-1].query == {"project_id": "a/b", "since": "2026-01-01T00:00:00+00:00"}
    service.costs = {"items": [], "total": None}
    assert (await callscore(*costs)).out == "No scorer of a/b has sent requests.\n"
    then = (*costs, "--since", "2026-01-01T00:00:00Z")
    assert (await callscore(*then)).out == "No scorer of a/b has sent requests on these days.\n"
    assert (await callscore(*costs, "--until", "yesterday")).code == 2


async def test_one_scorer_is_shown_whole_by_its_name_or_ref(callscore: Command, service: FakeService) -> None:
    service.scorers = [
        scorer("tone", "callscore:///scorer/tone:everybody"),
        scorer("tone", "callscore:///scorer/tone:new", "a/b"),
        scorer("tone", "callscore:///scorer/tone:old", "a/b"),
    ]
    latest, old = "callscore:///scorer/tone:latest", "callscore:///scorer/tone:old"
    for wanted, number in (("tone", 1), (latest, 1), (old, 2)):
        shown = await callscore("scorers", "show", wanted, "--project", "a/b")
        assert json.loads(shown.out) == service.scorers[number]
    missing = await callscore("scorers", "show", "style")
    assert (missing.code, missing.out) == (2, "")
    assert missing.err == "There is no scorer named 'style' for all projects. The scorers are: tone.\n"


async def test_what_is_no_json_is_text_and_what_cannot_be_sent_is_refused(
    callscore: Command, service: FakeService
) -> None:
    publish = ("scorers", "publish", "s", "--kind", "contains")
    numbers = ("text=NaN", "any=-Infinity", "big=1e999", "small=1e-3")
    given = [word for number in numbers for word in ("--param", number)]
    assert (await callscore(*publish, *given)).code == 0
    assert service.scorers[0]["params"] == {"text": "NaN", "any": "-Infinity", "big": "1e999", "small": 0.001}
    assert (await callscore(*publish, "--params", '{"n": NaN}')).code == 2
    for option, value in (("--param", "n=123456789012345678901234567890"), ("--params", '{"a": "\\ud83d"}')):
        refused = await callscore(*publish, option, value)
        assert (refused.code, refused.err.count("\n")) == (2, 1)
        assert "cannot be sent: " in refused.err
    for words in (("submit", "--project", "a/b", "--scorer", "s", "\udcff"), ("status", "\udcff")):
        assert (await callscore(*words)).err == "'\\udcff' is not valid UTF-8.\n"
