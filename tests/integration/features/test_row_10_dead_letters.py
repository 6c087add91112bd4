"""Row 10: what cannot be processed becomes a dead letter that says why, and is tried again by filter, once."""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app import ids
from app.keys import add_key
from tests import stored
from tests.log_command import run, said
from tests.service import PARTITIONS, Service, attempts, complete_call

PROJECT = "acme/letters"
TOPICS = (*stored.PRIMARY, "dead-letters")
OLDER = (sys.executable, "-m", "tests.older_worker")
FAILED = {"v": 1, "type": "ScoreFailed", "project_id": "a", "call_id": "b", "scorer_ref": "c", "targets": [], "at": 1}
ERROR = {"error": {"type": "refused", "message": "no"}}
PLACE = {"v": 1, "request_id": "r", "chunk": 0, "scorer": 0, "at": 1}
REQUESTED = {
    "v": 1,
    "type": "ScoreRequested",
    "request_id": "r",
    "chunk": 0,
    "project_id": "a",
    "scorer_refs": ["c"],
    "requested_at": 1,
}


def batch(event: dict[str, Any]) -> bytes:
    return json.dumps({"v": 1, "type": "ScoreEvents", "events": [event]}).encode()


POISONS: dict[bytes | None, str] = {
    None: "undecodable",
    b"": "undecodable",
    b"\xff\xfe": "undecodable",
    b"{": "undecodable",
    b"null": "undecodable",
    b'{"v": 1, "type": "Unheard"}': "undecodable",
    b'{"v": 1, "type": "CallLogged", "project_id": "acme/letters", "call_id": 5}': "undecodable",
    batch(FAILED | {"error": {"type": 5, "message": None}}): "undecodable",
    # What no row has room for.
    batch(FAILED | ERROR | {"spent": {"requests": -1}}): "undecodable",
    batch(FAILED | ERROR | {"spent": {"requests": 1, "cost": 2**64}}): "undecodable",
    batch(FAILED | ERROR | {"round": 10**30}): "undecodable",
    batch(PLACE | {"type": "TasksReused", "calls": [10_000]}): "undecodable",
    json.dumps(REQUESTED | {"call_ids": ["call"] * 10_001}).encode(): "undecodable",
    b'{"v": 1, "type": "DeadLetter", "topic": "calls", "partition": 0, "offset": 0, "key": "?", "value": "?",'
    b' "reason": "", "detail": "", "at": NaN}': "undecodable",
    b"x" * 1_900_000: "undecodable",
}
VERSIONS = {
    "calls": "CallLogged",
    "scorers": "ScorerPublished",
    "score-requests": "RequestAccepted",
    "controls": "RequestRetried",
    "score-events": "ScoreEvents",
    "dead-letters": "DeadLetter",
}  # an event of each topic


def poison(service: Service) -> Counter[tuple[str, str]]:
    """Append poison of every kind to every partition of every topic; how many letters of which that must make."""
    wanted: Counter[tuple[str, str]] = Counter()
    for topic, event in VERSIONS.items():
        of_a_later_version = json.dumps({"v": 99, "type": event, "project_id": PROJECT}).encode()
        poisons = {**POISONS, of_a_later_version: "unknown_version"}
        stored.log(service).append(
            topic, [stored.Record(place, 0, b"poison", value) for place in range(PARTITIONS) for value in poisons]
        )
        for reason in poisons.values():
            wanted[topic, reason] += PARTITIONS
    return wanted


def letters(service: Service, **filters: str) -> list[dict[str, Any]]:
    asked = "&".join(f"{name}={value}" for name, value in filters.items())
    return service.items(f"/dead-letters?limit=50&{asked}")


def wait_for_letters(service: Service, number: int) -> list[dict[str, Any]]:
    """Wait until there are so many letters; returns them."""
    found: list[dict[str, Any]] = []
    for _ in attempts(30):
        found = letters(service)
        if len(found) >= number:
            break
    assert len(found) == number, service.log()
    return found


def by_topic_and_reason(found: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((letter["topic"], letter["reason"]) for letter in found)


def counted(service: Service) -> Counter[tuple[str, str]]:
    """What the metric says."""
    line = re.compile(r'callscore_dead_letters_total\{reason="(.*)",topic="(.*)"\} (.*)')
    found = line.findall(service.get("/metrics").raw.decode())
    return Counter({(topic, reason): int(float(number)) for reason, topic, number in found})


def callscore(service: Service, *args: str) -> list[str]:
    """The lines that a command says that goes well."""
    return said(run(service, "dead-letters", *args))


def test_row_10_poison_of_every_kind_in_every_topic_is_named_and_the_streams_go_on(
    make_service: Callable[..., Service],
) -> None:
    service = make_service().start()
    service.log_calls(PROJECT, [{"id": "one", "output": "x"}])
    service.stop()
    wanted = poison(service)
    service.start()
    service.log_calls(PROJECT, [{"id": f"call-{n}", "output": "x"} for n in range(20)])
    calls = ["one", *(f"call-{n}" for n in range(20))]
    assert service.wait_finished(service.submit(PROJECT, calls, service.refs("not_empty")))["tasks"]["succeeded"] == 21

    found = wait_for_letters(service, wanted.total())
    assert by_topic_and_reason(found) == wanted
    assert [letter["id"] for letter in found] == sorted((letter["id"] for letter in found), reverse=True)
    assert len({(letter["topic"], letter["partition"], letter["offset"]) for letter in found}) == len(found)
    assert counted(service) == wanted
    assert sum(letter["left_out"] for letter in found) == len(TOPICS) * PARTITIONS
    controls = letters(service, topic="controls", reason="unknown_version")
    assert by_topic_and_reason(controls) == Counter({("controls", "unknown_version"): PARTITIONS})
    assert letters(service, project_id=PROJECT, reason="unknown_version", topic="controls") == controls
    assert letters(service, until="2020-01-01T00:00:00Z") == []
    assert letters(service, since="2020-01-01T00:00:00Z") == found
    whole = service.get(f"/dead-letters/{controls[0]['id']}").json
    assert whole["value"] == {"v": 99, "type": "RequestRetried", "project_id": PROJECT}
    assert whole["key"] == "poison"
    assert json.loads(callscore(service, "show", controls[0]["id"])[0]) == whole
    assert len(callscore(service, "list", "--topic", "controls", "--json")) == PARTITIONS * (len(POISONS) + 1)

    service.kill()
    shown = service.start()
    assert letters(shown) == found
    assert not +counted(shown)


def test_row_10_redriving_after_the_fix_completes_the_work(make_service: Callable[..., Service]) -> None:
    service = make_service()
    service.command = OLDER
    service.start()
    calls = [f"call-{n}" for n in range(40)]
    service.log_calls(PROJECT, [{"id": call_id, "output": "x"} for call_id in calls])
    request = service.submit(PROJECT, calls, service.refs("not_empty"))
    chunks = {ids.partition_of(ids.call_key(PROJECT, call_id), PARTITIONS) for call_id in calls}
    buried = wait_for_letters(service, len(chunks))
    assert by_topic_and_reason(buried) == {("score-requests", "undecodable"): len(chunks)}
    assert letters(service, project_id=PROJECT) == buried
    assert service.status(request)["tasks"]["queued"] == 40
    service.stop()

    service.command = Service.command
    service.start()
    assert letters(service) == buried
    assert service.status(request)["tasks"]["queued"] == 40
    assert callscore(service, "redrive", "--topic", "controls") == ["0 records tried again."]
    tried = callscore(service, "redrive", "--topic", "score-requests", "--project", PROJECT)
    assert tried == [f"{len(buried)} records tried again."]
    assert service.wait_finished(request)["tasks"]["succeeded"] == 40

    after = letters(service)
    assert [letter["id"] for letter in after] == [letter["id"] for letter in buried]
    assert all(letter["redriven_at"] for letter in after)
    assert letters(service, redriven="false") == []
    before = records(service)
    service.start()
    assert service.post("/dead-letters/redrive", {}).json["redriven"] == 0
    assert service.post("/dead-letters/redrive", {"ids": [after[0]["id"]]}).json["redriven"] == 0
    assert records(service) == before
    service.start()
    assert service.status(request)["tasks"]["succeeded"] == 40


def records(service: Service) -> dict[str, int]:
    """How many records each topic has, once the service is stopped."""
    service.stop()
    return {topic: len(stored.log(service).records(topic)) for topic in TOPICS}


def test_row_10_what_fails_again_is_a_new_letter_that_names_the_first(service: Service) -> None:
    service.log_calls(PROJECT, [{"id": "one", "output": "first"}])
    service.log_calls(PROJECT, [{"id": "one", "output": "second"}])
    [letter] = wait_for_letters(service, 1)
    assert (letter["reason"], letter["project_id"], letter["redrive_of"]) == ("call_rewritten", PROJECT, None)
    assert callscore(service, "redrive", letter["id"]) == ["1 record tried again."]
    found = again, first = wait_for_letters(service, 2)
    assert (first["id"], first["redriven_by"]) == (letter["id"], None)
    assert again["redrive_of"] == letter["id"]
    assert again["redriven_at"] is None
    assert again["offset"] > first["offset"]
    whole = [service.get(f"/dead-letters/{shown['id']}").json for shown in found]
    assert whole[0]["value"] == whole[1]["value"]
    assert service.post("/dead-letters/redrive", {"since": again["logged_at"]}).json["redriven"] == 1


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_row_10_a_key_sees_and_redrives_the_letters_of_its_projects_only(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    keys = {user: add_key(file, user, [globs]) for user, globs in (("ann", "acme/*"), ("bob", "other/*"), ("op", "*"))}

    def ask(user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {keys[user]}"}

    service = make_service(api_keys=file)
    service.start()
    for output in ("first", "second"):
        batch = [complete_call(PROJECT, {"id": "one", "output": output})]
        assert service.post(f"/v2/{PROJECT}/calls/complete", {"batch": batch}, **ask("ann")).status == 200
    for _ in attempts(30):
        found = service.get(f"/dead-letters?project_id={PROJECT}", **ask("ann")).json["items"]
        if found:
            break
    [letter] = found
    assert service.get("/dead-letters", **ask("op")).json["items"] == [letter]
    assert service.get("/dead-letters", **ask("ann")).status == 403
    assert service.get(f"/dead-letters?project_id={PROJECT}", **ask("bob")).status == 404
    assert service.get(f"/dead-letters/{letter['id']}", **ask("bob")).status == 404
    assert service.get(f"/dead-letters/{letter['id']}", **ask("ann")).status == 200
    assert service.post("/dead-letters/redrive", {}, **ask("ann")).status == 403
    assert service.post("/dead-letters/redrive", {"project_id": PROJECT}, **ask("bob")).status == 404
    assert service.post("/dead-letters/redrive", {"project_id": PROJECT}, **ask("ann")).json["redriven"] == 1
    for _ in attempts(30):
        first = service.get(f"/dead-letters/{letter['id']}", **ask("ann")).json
        if first["redriven_at"]:
            break
    assert first["redriven_by"] == "ann"
