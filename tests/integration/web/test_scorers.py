"""A scorer can be used as soon as publishing it has been answered."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.keys import add_key
from tests.service import Service, until


def test_a_published_scorer_is_resolved_at_once_and_listed(shared: Service) -> None:
    for number in range(20):
        published = {"name": f"at-once-{number}", "kind": "contains", "params": {"text": "x"}, "project_id": "acme/pub"}
        answer = shared.post("/scorers", published)
        assert answer.status == 201
        assert sorted(answer.json) == ["description", "kind", "name", "params", "policy", "project_id", "ref"]
        shared.submit("acme/pub", ["a"], [answer.json["ref"], f"callscore:///scorer/at-once-{number}:latest"])
    assert answer.json in shared.items("/scorers?project_id=acme/pub&limit=7")


def test_scorers_published_in_a_crowd_are_all_resolved_at_once(shared: Service) -> None:
    def publish_and_use(number: int) -> None:
        published = {"name": f"crowd-{number}", "kind": "contains", "params": {"text": "x" * 1_000}}
        # A busy machine may say for a while that its tables are behind.
        answer = until(lambda: shared.post("/scorers", published), lambda answer: answer.status == 201, 60)
        shared.submit("acme/crowd", ["a"], [answer.json["ref"]])

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(publish_and_use, range(256)))


def test_publishing_the_same_again_gives_the_same_ref(shared: Service) -> None:
    published = {"name": "same", "kind": "contains", "params": {"text": "x"}}
    first, again = (shared.post("/scorers", published).json for _ in range(2))
    assert first == again
    assert [item["ref"] for item in shared.items("/scorers")].count(first["ref"]) == 1


def test_latest_is_the_version_published_last_and_older_ones_stay(shared: Service) -> None:
    refs = [
        shared.post("/scorers", {"name": "moving", "kind": "contains", "params": {"text": text}}).json["ref"]
        for text in ("one", "two", "one")
    ]
    assert refs[0] == refs[2] != refs[1]
    listed = [item["ref"] for item in shared.items("/scorers") if item["name"] == "moving"]
    assert listed == [refs[0], refs[1]]
    request = shared.status(shared.submit("acme/latest", ["a"], ["callscore:///scorer/moving:latest"]))
    assert request["scorer_refs"] == [refs[2]]


def test_a_projects_scorer_is_nobody_elses(shared: Service) -> None:
    published = {"name": "private", "kind": "contains", "params": {"text": "x"}, "project_id": "acme/mine"}
    ref = shared.post("/scorers", published).json["ref"]
    shared.submit("acme/mine", ["a"], [ref])
    body = {"project_id": "acme/yours", "call_ids": ["a"], "scorer_refs": [ref]}
    assert shared.post("/calls/score", body).status == 422
    assert ref not in [item["ref"] for item in shared.items("/scorers?project_id=acme/yours")]


def test_at_least_three_scorers_can_be_used_from_the_start(shared: Service) -> None:
    assert len(shared.refs("not_empty", "refusal", "valid_json")) == 3


def test_keys_decide_who_sees_and_writes_what(make_service: Callable[..., Service], tmp_path: Path) -> None:
    path = tmp_path / "keys"
    ann, bob = (f"Bearer {add_key(path, user, [f'{user}/*'])}" for user in ("ann", "bob"))
    service = make_service(api_keys=path).start()
    body = {"project_id": "ann/p", "call_ids": [], "scorer_refs": [], "wb_user_id": "mallory"}
    assert service.post("/calls/score", body).status == 401
    assert service.post("/calls/score", body, Authorization=bob).status == 403
    location = service.post("/calls/score", body, Authorization=ann).headers["Location"]
    assert service.get(location, Authorization=ann).json["requested_by"] == "ann"
    for path_ in (location, f"{location}/tasks"):
        assert service.get(path_, Authorization=bob).status == 404
    assert service.get("/score-requests", Authorization=bob).json["items"] == []
    assert len(service.get("/score-requests", Authorization=ann).json["items"]) == 1
    late = f"Bearer {add_key(path, 'root', ['*'])}"
    assert len(service.get("/score-requests", Authorization=late).json["items"]) == 1
