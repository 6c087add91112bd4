"""What cannot be processed becomes a dead letter that says why, and is tried again or dismissed, once."""

import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app import ids
from app.events import DeadLetter, LetterDismissed, LetterRedriven
from app.keys import add_key
from tests import stored
from tests.brokers import embedded_only, on_both_logs
from tests.command import run, said, verified
from tests.service import PARTITIONS, Service, complete_call, until

PROJECT = "acme/letters"
TOPICS = stored.PRIMARY
OLDER = (sys.executable, "-m", "tests.older_worker")
FAILED = {"v": 1, "type": "ScoreFailed", "project_id": "a", "call_id": "b", "scorer_ref": "c", "targets": [], "at": 1}
ERROR = {"error": {"type": "refused", "message": "no"}}
WAITS = FAILED | {"type": "TaskParked", "reason": "waiting_for_call", "until": 1}
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
    # What keys of rows are split by.
    **{batch(WAITS | {name: "a\0b"}): "undecodable" for name in ("project_id", "call_id", "scorer_ref", "occasion")},
    batch(WAITS | {"targets": [["a\0b", 0, 0, 0]]}): "undecodable",
    batch(FAILED | ERROR | {"call_id": "a\0b"}): "undecodable",
    batch(PLACE | {"type": "TasksReused", "calls": [0], "request_id": "a\0b"}): "undecodable",
    json.dumps(REQUESTED | {"call_ids": ["call", "a\0b"]}).encode(): "undecodable",
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
    "weave": "FeedbackGiven",
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
    found = until(lambda: letters(service), lambda found: len(found) >= number)
    assert len(found) == number, service.log()
    return found


def by_topic_and_reason(found: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter((letter["topic"], letter["reason"]) for letter in found)


def counted(service: Service) -> Counter[tuple[str, str]]:
    """What the metric says."""
    line = re.compile(r'callscore_dead_letters_total\{reason="(.*)",topic="(.*)"\} (.*)')
    found = line.findall(service.get("/metrics").raw.decode())
    return Counter({(topic, reason): int(float(number)) for reason, topic, number in found})


def wait_for_open(service: Service, number: int) -> None:
    """Wait until the metric says that so many letters are open."""
    until(lambda: service.metrics()["callscore_dead_letters_open"], lambda shown: shown == number)


def callscore(service: Service, *args: str) -> list[str]:
    """The lines that a command says that goes well."""
    return said(run(service, "dead-letters", *args))


@on_both_logs
def test_poison_of_every_kind_in_every_topic_is_named_and_the_streams_go_on(
    make_service: Callable[..., Service],
) -> None:
    service = make_service().start()
    service.log_calls(PROJECT, ["one"])
    service.stop()
    wanted = poison(service)
    service.start()
    service.log_calls(PROJECT, [f"call-{n}" for n in range(20)])
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


def test_redriving_after_the_fix_completes_the_work(make_service: Callable[..., Service]) -> None:
    service = make_service()
    service.command = OLDER
    service.start()
    calls = [f"call-{n}" for n in range(40)]
    service.log_calls(PROJECT, calls)
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
    assert callscore(service, "redrive", "--topic", "controls") == ["0 records retried."]
    tried = callscore(service, "redrive", "--topic", "score-requests", "--project", PROJECT)
    assert tried == [f"{len(buried)} records retried."]
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


def test_a_rewritten_call_keeps_its_first_content_and_the_rewrite_is_a_letter_also_if_it_is_tried_again(
    service: Service,
) -> None:
    for output in ("first", "second", "first"):
        service.log_calls(PROJECT, ["one"], output)
    [letter] = wait_for_letters(service, 1)
    [call] = service.items(f"/calls?project_id={PROJECT}")
    assert call["output"] == "first"
    assert service.wait_finished(service.submit(PROJECT, ["one"], service.refs("not_empty")))["status"] == "completed"
    assert (letter["reason"], letter["project_id"], letter["redrive_of"]) == ("call_rewritten", PROJECT, None)
    assert callscore(service, "redrive", letter["id"]) == ["1 record retried."]
    found = again, first = wait_for_letters(service, 2)
    assert (first["id"], first["redriven_by"]) == (letter["id"], None)
    assert again["redrive_of"] == letter["id"]
    assert again["redriven_at"] is None
    assert again["offset"] > first["offset"]
    whole = [service.get(f"/dead-letters/{shown['id']}").json for shown in found]
    assert whole[0]["value"] == whole[1]["value"]
    assert service.post("/dead-letters/redrive", {"since": again["logged_at"]}).json["redriven"] == 1


def rewritten(service: Service, *call_ids: str) -> list[dict[str, Any]]:
    """Log calls, each a second time with other content; the letters that there are then."""
    for output in ("first", "second"):
        service.log_calls(PROJECT, call_ids, output)
    return wait_for_letters(service, len(call_ids))


def test_what_is_dismissed_is_closed_and_not_tried_again_and_stays_to_be_found(service: Service) -> None:
    found = rewritten(service, "one", "two", "three")
    first = found[0]["id"]
    assert callscore(service, "dismiss", first) == ["1 letter dismissed."]
    [letter] = letters(service, dismissed="true")
    assert (letter["id"], letter["dismissed_by"], letter["redriven_at"]) == (first, None, None)
    assert service.get(f"/dead-letters/{first}").json["value"]["call"]["output"] == "second"
    assert letters(service, dismissed="false", redriven="false") == found[1:]
    assert [json.loads(line) for line in callscore(service, "list", "--dismissed", "--json")] == [letter]
    assert [json.loads(line) for line in callscore(service, "list", "--open", "--json")] == found[1:]
    assert f" dismissed at {letter['dismissed_at']} " in callscore(service, "list")[1]

    again = run(service, "dead-letters", "redrive", first)
    assert said(again) == ["0 records retried."]
    assert again.stderr.decode() == f"{first} was already dismissed at {letter['dismissed_at']}, so it is skipped.\n"
    assert callscore(service, "dismiss", "--topic", "scorers") == ["0 letters dismissed."]
    assert callscore(service, "dismiss", "--reason", "call_rewritten", "--project", PROJECT) == ["2 letters dismissed."]
    assert callscore(service, "redrive", "--all") == ["0 records retried."]
    assert callscore(service, "dismiss", "--all") == ["0 letters dismissed."]
    assert callscore(service, "list", "--open") == ["There are no open dead letters."]
    assert [shown["id"] for shown in letters(service, dismissed="true")] == [shown["id"] for shown in found]


def test_what_was_tried_again_is_not_dismissed(service: Service) -> None:
    [letter] = rewritten(service, "one")
    assert callscore(service, "redrive", letter["id"]) == ["1 record retried."]
    again, first = wait_for_letters(service, 2)
    body = {"ids": [first["id"], again["id"], "none", again["id"]]}
    answer = service.post("/dead-letters/dismiss", body).json
    assert answer == {"dismissed": 1, "left_out": 0, "until": answer["until"], "more": False, "next_cursor": None}
    again, first = letters(service)
    assert letters(service, redriven="true", dismissed="false") == [first]
    assert letters(service, redriven="false", dismissed="true") == [again]


def test_a_letter_that_has_not_kept_its_record_can_be_dismissed(make_service: Callable[..., Service]) -> None:
    service = make_service().start()
    service.stop()
    stored.log(service).append("calls", [stored.Record(0, 0, b"poison", b"x" * 1_900_000)])
    service.start()
    [letter] = wait_for_letters(service, 1)
    assert letter["left_out"]
    assert service.post("/dead-letters/redrive", {}).json["left_out"] == 1
    wait_for_open(service, 1)
    assert service.post("/dead-letters/dismiss", {}).json["dismissed"] == 1
    wait_for_open(service, 0)
    assert service.post("/dead-letters/redrive", {}).json["left_out"] == 0


@embedded_only
def test_an_order_comes_to_its_end_behind_many_letters_that_it_cannot_be_carried_out_for(
    make_service: Callable[..., Service],
) -> None:
    service = make_service().start()
    service.stop()
    letter = DeadLetter(topic="calls", partition=0, offset=0, key=None, value=b"{", reason="", detail="", at=0.0)
    found = [letter.replace(offset=n, at=float(n), left_out=n > 1) for n in range(1_502)]
    stored.log(service).append("dead-letters", [stored.Record(0, 0, None, letter.encode()) for letter in found])
    service.start()
    ended = run(service, "dead-letters", "redrive", "--all")
    assert said(ended) == ["2 records retried."]
    assert "1,500 records skipped: too large to be stored in a letter" in ended.stderr.decode()
    assert service.post("/dead-letters/redrive", {"cursor": "!"}).json["detail"][0]["loc"] == ["body", "cursor"]


def test_the_first_order_for_a_letter_counts_also_when_the_tables_are_made_anew(
    make_service: Callable[..., Service],
) -> None:
    service = make_service().start()
    redriven, dismissed, left = rewritten(service, "one", "two", "three")
    service.stop()
    both = (LetterRedriven, LetterDismissed)
    orders = [
        stored.Record(letter["partition"], 0, None, order(letter_id=letter["id"], asked_by=None, asked_at=1.0).encode())
        for letter, given in ((redriven, both), (dismissed, reversed(both)))
        for order in given
    ]
    stored.log(service).append("dead-letters", orders)
    service.start()
    found = wait_for_letters(service, 4)
    assert [letter["id"] for letter in found if letter["redriven_at"]] == [redriven["id"]]
    assert [letter["id"] for letter in found if letter["dismissed_at"]] == [dismissed["id"]]
    assert left in found
    service.stop()
    assert "dead-letters 4" in verified(service)
    shutil.rmtree(service.data_dir / "instance-0")
    service.start()
    assert letters(service) == found


@embedded_only
def test_a_key_sees_and_closes_the_letters_of_its_projects_only(
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
    [letter] = until(lambda: service.get(f"/dead-letters?project_id={PROJECT}", **ask("ann")).json["items"])
    assert service.get("/dead-letters", **ask("op")).json["items"] == [letter]
    assert service.get("/dead-letters", **ask("ann")).status == 403
    assert service.get(f"/dead-letters?project_id={PROJECT}", **ask("bob")).status == 404
    assert service.get(f"/dead-letters/{letter['id']}", **ask("bob")).status == 404
    assert service.get(f"/dead-letters/{letter['id']}", **ask("ann")).status == 200
    for order, done in (("redrive", "redriven"), ("dismiss", "dismissed")):
        assert service.post(f"/dead-letters/{order}", {}, **ask("ann")).status == 403
        assert service.post(f"/dead-letters/{order}", {"ids": [letter["id"]]}, **ask("bob")).json[done] == 0
        assert service.post(f"/dead-letters/{order}", {"project_id": PROJECT}, **ask("bob")).status == 404
        elsewhere = {"ids": [letter["id"]], "project_id": "other/letters"}
        assert service.post(f"/dead-letters/{order}", elsewhere, **ask("bob")).json[done] == 0
    assert service.post("/dead-letters/redrive", {"ids": [letter["id"]]}, **ask("ann")).json["redriven"] == 1
    first = until(
        lambda: service.get(f"/dead-letters/{letter['id']}", **ask("ann")).json, lambda found: found["redriven_at"]
    )
    assert first["redriven_by"] == "ann"
    until(lambda: service.post("/dead-letters/dismiss", {"project_id": PROJECT}, **ask("ann")).json["dismissed"])
    again, _ = service.get("/dead-letters", **ask("op")).json["items"]
    assert (again["redrive_of"], again["dismissed_by"]) == (first["id"], "ann")
