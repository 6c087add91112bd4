"""A log that was exported and imported, on whatever broker and with however many partitions, gives the same answers."""

import gzip
import json
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from app.embedded.store import is_log
from tests import stored
from tests.brokers import Broker, embedded_only
from tests.command import begin_import, done, log, refused
from tests.service import Service, until

PROJECT = "acme/moving"
PARTITIONS = 8
CALLS = 120
RULED = 20
PLUGINS = "tests.plugin_scorers"
CALL_WAIT = 36_000  # longer than all tests take


def fill(service: Service) -> tuple[list[str], str]:
    """Requests of every kind: plain, repeated, failing, retried, waiting for calls; a scorer; a rewritten call.

    Their ids, and a time when the first one had ended and the next had not begun.
    """
    service.log_calls(PROJECT, [{"id": f"call-{n}", "output": f"output {n}"} for n in range(CALLS)])
    service.log_calls(PROJECT, [{"id": "broken", "output": None, "exception": "boom"}])
    service.log_calls(PROJECT, ["call-0"], "another")
    body = {"name": "has_7", "kind": "contains", "params": {"text": "7"}, "project_id": PROJECT}
    assert service.post("/scorers", body).status == 201
    everything = [f"call-{n}" for n in range(CALLS)] + ["broken"]
    [published] = [item["ref"] for item in service.items(f"/scorers?project_id={PROJECT}") if item["name"] == "has_7"]
    requests = [service.submit(PROJECT, everything, [*service.refs("not_empty", "patient"), published])]
    service.wait_finished(requests[-1])
    then = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    requests.append(service.submit(PROJECT, everything, service.refs("not_empty", "flaky", "raises")))
    service.wait_finished(requests[-1])
    requests.append(service.submit(PROJECT, everything[:9], service.refs("not_empty"), **{"Callscore-Rescore": "2"}))
    service.wait_finished(requests[-1])
    body = {"scorer_refs": service.refs("raises")}
    assert service.post(f"/score-requests/{requests[1]}/retry", body).status == 200
    service.wait_finished(requests[1])
    requests.append(service.submit(PROJECT, everything, service.refs("hangs_softly"), **{"Idempotency-Key": "k"}))
    assert service.post(f"/score-requests/{requests[-1]}/cancel", {}).status == 200
    service.wait_finished(requests[-1])
    # Waits for its call, twice: the second request joins the first one.
    for _ in range(2):
        requests.append(service.submit(PROJECT, ["call-1", "late-1", "late-2"], service.refs("not_empty")))
        wait_until_parked(service, requests[-1])
    rule = {"name": "half", "project_id": PROJECT, "scorer_refs": service.refs("not_empty"), "sample_rate": 0.5}
    assert service.post("/rules", rule).status == 201
    service.log_calls(PROJECT, [f"ruled-{n}" for n in range(RULED)])
    until(lambda: settled(service))
    return requests, then


def settled(service: Service) -> bool:
    """Whether the rule has decided about all calls, and those of its sample are scored."""
    [rule] = service.items(f"/rules?project_id={PROJECT}")
    scores = service.items(f"/scores?project_id={PROJECT}&status=succeeded")
    scored = sum(score["call_id"].startswith("ruled-") for score in scores)
    return bool(rule["calls"]["matched"] == RULED and rule["calls"]["sampled"] == scored)


def wait_until_parked(service: Service, request_id: str) -> None:
    def parked() -> bool:
        tasks = service.status(request_id)["tasks"]
        return bool(tasks["waiting_for_call"] == 2 and tasks["queued"] == tasks["running"] == 0)

    until(parked)


def answers(service: Service, requests: list[str], then: str) -> Any:
    """What the views say about everything, but for positions in the log."""
    status = [service.status(request_id) for request_id in requests]
    listed = service.items(f"/score-requests?project_id={PROJECT}")
    for request in (*status, *listed):
        del request["rate"], request["eta"]
    scores = service.items(f"/scores?project_id={PROJECT}")
    scores_then = service.items(f"/scores?project_id={PROJECT}&as_of={then}")
    for score in (*scores, *scores_then):
        del score["lineage"]["partition"], score["lineage"]["offset"]
    tasks = [service.items(f"/score-requests/{request_id}/tasks") for request_id in requests]
    for task in chain.from_iterable(tasks):
        del task["position"], task["worker"]
    [rule] = service.items(f"/rules?project_id={PROJECT}")
    of_rule = service.items(f"/score-requests?rule_id={rule['rule_id']}")
    return {
        "rule": rule,
        "decisions": service.items(f"/rules/{rule['rule_id']}/calls"),
        "tasks of the rule": [request["tasks"] for request in of_rule],
        "requests": status,
        "listed": listed,
        "tasks": [sorted(found, key=lambda task: str(task["task_id"])) for found in tasks],
        "scores": scores,
        "scores then": scores_then,
        "calls": service.items(f"/calls?project_id={PROJECT}"),
        "scorers": service.items(f"/scorers?project_id={PROJECT}"),
    }


def letters(service: Service) -> list[tuple[str, str | None]]:
    """The reasons and the records of the dead letters of a stopped service."""
    found = [json.loads(record.value or b"") for record in stored.log(service).records("dead-letters")]
    return sorted((letter["reason"], letter["value"]) for letter in found)


class Moved:
    """A log that was filled and exported, and what was answered from it."""

    def __init__(self, folder: Path, broker: Broker) -> None:
        self.file = folder / "log.jsonl.gz"
        self.service = Service(
            folder / "source", partitions=PARTITIONS, scorers=PLUGINS, call_wait=CALL_WAIT, **broker.settings()
        )
        self.service.start()
        try:
            self.requests, self.then = fill(self.service)
            self.answers = answers(self.service, self.requests, self.then)
            assert 0 < len(self.answers["scores then"]) < len(self.answers["scores"])
            self.service.stop()
        finally:
            self.service.kill()
        poison = [stored.Record(3, 0, None, b"\xff{"), stored.Record(5, 0, b"\xfe", b"{}")]
        for topic in ("score-requests", "score-events", "calls"):
            stored.log(self.service).append(topic, poison)
        self.service.start()
        self.service.stop()
        done(log(self.service, "export", str(self.file)))
        self.letters = letters(self.service)

    def check(self, service: Service) -> None:
        """The service, which has just imported the log, answers the same, goes on with what is owed, and reuses."""
        service.start()
        try:
            assert answers(service, self.requests, self.then) == self.answers
            again = service.submit(PROJECT, [f"call-{n}" for n in range(CALLS)], service.refs("not_empty", "patient"))
            assert service.wait_finished(again)["tasks"]["reused"] == 2 * CALLS
            service.log_calls(PROJECT, ["late-1", "late-2"], "now")
            for request_id in self.requests[-2:]:
                assert service.wait_finished(request_id)["tasks"]["succeeded"] == 3
            service.stop()
        finally:
            service.kill()
        assert letters(service) == self.letters


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory, broker: Broker) -> Moved:
    return Moved(tmp_path_factory.mktemp("moved"), broker)


def target(folder: Path, **settings: object) -> Service:
    folder.mkdir(exist_ok=True)
    return Service(folder / "target", scorers=PLUGINS, call_wait=CALL_WAIT, **settings)


@embedded_only
@pytest.mark.parametrize("partitions", [PARTITIONS, 3])
def test_an_imported_log_answers_the_same_with_any_number_of_partitions(
    moved: Moved, tmp_path: Path, partitions: int
) -> None:
    service = target(tmp_path, partitions=partitions)
    said = done(log(service, "import", str(moved.file)))
    assert ("moved from 8" in said) == (partitions != PARTITIONS)
    moved.check(service)


@embedded_only
def test_the_same_number_of_partitions_keeps_every_record_where_it_is(moved: Moved, tmp_path: Path) -> None:
    service = target(tmp_path, partitions=PARTITIONS)
    done(log(service, "import", "-", given=gzip.decompress(moved.file.read_bytes())))
    for topic in {*stored.PRIMARY} - {"dead-letters"}:
        assert stored.log(service).records(topic) == stored.log(moved.service).records(topic)
    again = log(service, "export", "-")
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    were = [json.loads(line) for line in gzip.decompress(moved.file.read_bytes()).splitlines()]
    assert lines[1:-1] == [line for line in were[1:-1] if line["topic"] != "dead-letters"]


@embedded_only
def test_an_export_writes_over_no_file(moved: Moved) -> None:
    before = moved.file.read_bytes()
    again = log(moved.service, "export", str(moved.file))
    assert refused(again, code=2) == f"{moved.file} already exists. Choose a new file."
    assert moved.file.read_bytes() == before


@embedded_only
def test_moving_there_and_back_changes_nothing(moved: Moved, tmp_path: Path) -> None:
    there = Service(tmp_path / "there", partitions=5, scorers=PLUGINS, call_wait=CALL_WAIT)
    done(log(there, "import", str(moved.file)))
    done(log(there, "export", str(tmp_path / "there.jsonl")))
    back = target(tmp_path, partitions=PARTITIONS)
    done(log(back, "import", str(tmp_path / "there.jsonl")))
    moved.check(back)


@embedded_only
def test_an_export_that_is_cut_or_changed_is_refused_and_nothing_is_left(moved: Moved, tmp_path: Path) -> None:
    service = target(tmp_path, partitions=PARTITIONS)
    whole = gzip.decompress(moved.file.read_bytes())
    (tmp_path / "cut.jsonl.gz").write_bytes(moved.file.read_bytes()[:-2000])
    assert "ends before it is complete" in refused(log(service, "import", str(tmp_path / "cut.jsonl.gz")))
    changed = log(service, "import", "-", given=whole.replace(b"output 17", b"output 71", 1))
    assert "is damaged (its last line does not agree" in refused(changed)
    assert [path.name for path in service.data_dir.glob("**/*") if path.is_file()] == ["LOCK"]


@embedded_only
def test_only_a_new_log_is_imported_into_and_only_of_a_stopped_service(moved: Moved, tmp_path: Path) -> None:
    service = target(tmp_path, partitions=PARTITIONS)
    done(log(service, "import", str(moved.file)))
    assert "has records already" in refused(log(service, "import", str(moved.file)))
    service.start()
    try:
        assert "tables of another log" in refused(log(service, "import", str(moved.file)))
        assert "open in another process" in refused(log(service, "export", str(tmp_path / "again.jsonl")))
        assert not (tmp_path / "again.jsonl").exists()
    finally:
        service.kill()


@embedded_only
def test_an_import_shuts_out_services_and_when_killed_leaves_no_log_and_can_be_done_again(
    moved: Moved, tmp_path: Path
) -> None:
    service = target(tmp_path, partitions=3)
    whole = gzip.decompress(moved.file.read_bytes())
    process = begin_import(service, whole[: len(whole) // 2])
    making = service.data_dir / "log.importing"
    until(lambda: (making / "CURRENT").exists())
    assert "open in another process" in refused(log(service, "import", str(moved.file)))
    service.spawn()
    assert service.wait_ended() == 1
    assert "open in another process" in service.log()
    assert not list(service.data_dir.glob("instance-*"))  # else its next start might take that one, without tables
    process.kill()
    process.wait()
    assert making.exists()
    assert not is_log(service.data_dir / "log")
    done(log(service, "import", str(moved.file)))
    assert not making.exists()
    moved.check(service)
