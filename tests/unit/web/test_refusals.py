"""A scorer or a rule that is refused comes with what to write instead."""

import json

import pytest

from tests.unit.web.client import Client


@pytest.mark.parametrize(
    ("wrong", "where", "sentences"),
    [
        ({"polcy": {}}, [], ["There is no `polcy`: write one of kind, name, params, policy, project_id"]),
        ({"name": None}, ["name"], ["`name` must be a text, not null"]),
        ({"params": []}, ["params"], ["`params` must be a JSON object, not an array"]),
        ({"params": {"mx": 1}}, ["params"], ["There is no `mx`: write one of max, min, unit"]),
        (
            {"kind": "exact_match", "params": {"expected_field": "é" * 1001}},
            ["params", "expected_field"],
            ['`expected_field` must be at most 1000 characters long, not "' + "é" * 60 + '"…'],
        ),
        (
            {"kind": "exact_match", "params": {"expected_field": ""}},
            ["params", "expected_field"],
            ["`expected_field` must not be empty"],
        ),
        ({"params": {}}, ["params"], ["Give at least one of `min` and `max`"]),
        ({"params": {"max": "a"}}, ["params", "max"], ['`max` must be a whole number, not "a"']),
        ({"params": {"max": 1.5}}, ["params", "max"], ["`max` must be a whole number, not 1.5"]),
        (
            {"params": {"unit": "byte" * 20, "max": 1}},
            ["params", "unit"],
            [f"`unit` must be 'characters' or 'words', not \"{'byte' * 15}\"…"],
        ),
        (
            {"policy": {"attempts": 0, "timeout": 0, "usd_per_day": 1e9, "cache": "may"}},
            ["policy"],
            [
                "`policy.attempts` must be at least 1, not 0",
                "`policy.timeout` must be greater than 0, not 0",
                "`policy.usd_per_day` must be at most 1000000, not 1000000000.0",
                '`policy.cache` must be true or false, not "may"',
            ],
        ),
    ],
)
def test_a_refused_publication_says_what_to_write_instead(
    client: Client, wrong: dict[str, object], where: list[str], sentences: list[str]
) -> None:
    answer = client.post("/scorers", {"name": "x", "kind": "length", "params": {"max": 1}} | wrong)
    assert answer.status == 422
    assert [detail["msg"] for detail in answer.json["detail"]] == sentences
    for detail in answer.json["detail"]:
        assert sorted(detail) == ["loc", "msg", "type"]
        assert detail["loc"][: len(where) + 1] == ["body", *where]


def test_a_refused_rule_says_what_to_write_instead(client: Client) -> None:
    rule = {"name": "one", "project_id": "p", "scorer_refs": ["x"], "where": {"env": "prod"}, "smaple_rate": 1}
    where, misspelt = client.post("/rules", rule).json["detail"]
    assert where["msg"].startswith("`where.env`: a condition is on op_name, or on a path such as attributes.env")
    assert misspelt["msg"].startswith("There is no `smaple_rate`: write one of name, project_id, ")


def test_a_refused_publication_and_trial_name_what_is_missing(client: Client) -> None:
    for path in ("/scorers", "/scorers/try"):
        first, second = client.post(path, {}).json["detail"]
        assert (first["type"], second["type"]) == ("missing", "missing")
        for detail in (first, second):
            assert detail["msg"] == f"`{detail['loc'][-1]}` is missing: add it"


RULE = {"name": "one", "project_id": "acme/rules", "scorer_refs": ["callscore:///scorer/not_empty:latest"]}


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"name": ""}, ["body", "name"]),
        ({"scorer_refs": []}, ["body", "scorer_refs"]),
        ({"scorer_refs": ["nobody"]}, ["body", "scorer_refs", 0]),
        ({"sample_rate": 0}, ["body", "sample_rate"]),
        ({"sample_rate": 1.5}, ["body", "sample_rate"]),
        ({"where": {"output.passed": True}}, ["body", "where", "output.passed", "[key]"]),
        ({"where": {"op_name": {"eq": "x"}}}, ["body", "where", "op_name"]),
        ({"where": {"op_name": []}}, ["body", "where", "op_name"]),
        ({"where": {"attributes.n": 1e400}}, ["body", "where", "attributes.n"]),
        ({"where": {"attributes.user": [f"user-{n}" for n in range(5_000)]}}, ["body", "where"]),
        ({"filter": {}}, ["body", "filter"]),
    ],
)
def test_a_rule_that_could_never_work_is_refused(client: Client, change: dict[str, object], loc: list[object]) -> None:
    assert client.post("/rules", RULE).status == 503  # nothing is wrong with it, but there are no tables here
    answer = client.post("/rules", json.dumps(RULE | change).encode())
    assert answer.status == 422, answer.raw
    assert answer.json["detail"][0]["loc"] == loc
