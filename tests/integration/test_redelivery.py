"""Rule 5: every effect survives redelivery, of each record at its position and at another one."""

import random
import shutil
from collections.abc import Callable
from typing import Any

from tests import stored
from tests.brokers import on_both_logs
from tests.judging import Judging, publish
from tests.service import Service

pytestmark = on_both_logs

PROJECT = "acme/redelivery"
MARKER = "acme/marker"


def fill(service: Service) -> list[str]:
    """Requests of every kind: plain, repeated, failing, with calls that never come, cancelled, tried again, of a judge.

    Feedback, and a call that is logged again with other content.
    """
    service.log_calls(PROJECT, [{"id": f"call-{n}", "output": f"output {n}"} for n in range(40)])
    service.log_calls(PROJECT, ["call-0"], "another")
    note = {"feedback_type": "wandb.note.1", "payload": {"note": "so"}, "id": "note", "creator": None}
    about = {"project_id": PROJECT, "weave_ref": f"weave:///{PROJECT}/call/call-0"}
    assert service.post("/feedback/create", about | note).status == 200
    service.log_calls(PROJECT, [{"id": "broken", "output": None, "exception": "boom"}])
    ids = [f"call-{n}" for n in range(40)] + ["broken", "never-logged"]
    judge = publish(service, project=PROJECT, policy={"cache": True})
    first = service.submit(PROJECT, ids, [*service.refs("not_empty", "valid_json", "patient"), judge])
    service.wait_finished(first)
    again = service.submit(PROJECT, ids, service.refs("not_empty", "flaky", "raises"))
    service.wait_finished(again)
    cancelled = service.submit(PROJECT, [f"call-{n}" for n in range(60)], service.refs("hangs_softly", "flaky"))
    service.post(f"/score-requests/{cancelled}/cancel", {})
    service.wait_finished(cancelled)
    for request, body in ((again, {"scorer_refs": service.refs("raises")}), (cancelled, {"statuses": ["cancelled"]})):
        assert service.post(f"/score-requests/{request}/retry", body).json["status"] == "running"
    service.post(f"/score-requests/{cancelled}/cancel", {})
    service.wait_finished(again)
    service.wait_finished(cancelled)
    return [first, again, cancelled]


def pass_markers(service: Service) -> None:
    """Wait until everything that lies in any partition now has been applied."""
    ids = [f"marker-{n}" for n in range(64)]
    service.log_calls(MARKER, ids, ".")
    request = service.wait_finished(service.submit(MARKER, ids, service.refs("not_empty")))
    assert request["tasks"]["succeeded"] == len(ids)


def rows(service: Service) -> stored.Rows:
    """All rows but those of markers and of tables/tasks."""
    found = stored.tables(service)
    del found["tasks"]
    for table in found.values():
        for where in [where for where, value in table.items() if MARKER.encode() in where[1] + value]:
            del table[where]
    # Progress rows do not name their project: those of marker requests are the ones without a chunk of ours.
    chunks = {key for _, key in found["chunks"]}
    found["progress"] = {
        where: value for where, value in found["progress"].items() if where[1].rsplit(b"\0", 1)[0] in chunks
    }
    # Nor do the rows that find a request by its time: they name a request that must be ours.
    requests = {key.decode() for _, key in found["requests"]}
    found["requests"] = {
        where: value
        for where, value in found["requests"].items()
        if not where[1].startswith(b"\0") or value.decode() in requests
    }
    return found


def answers(service: Service, requests: list[str]) -> Any:
    """What the views say about everything."""
    status = [service.status(request_id) for request_id in requests]
    for request in status:
        del request["rate"], request["eta"]
    return {
        "requests": status,
        "tasks": [service.items(f"/score-requests/{request_id}/tasks") for request_id in requests],
        "scores": service.items(f"/scores?project_id={PROJECT}"),
        "calls": service.items(f"/calls?project_id={PROJECT}"),
        "feedback": service.post("/feedback/query", {"project_id": PROJECT}).json["result"],
        "scorers": service.items(f"/scorers?project_id={PROJECT}"),
    }


def test_every_record_delivered_twice_at_its_position_leaves_every_table_the_same(judging: Judging) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    service = judging.start(call_wait=0.5)
    requests = fill(service)
    pass_markers(service)
    before = answers(service, requests)
    service.stop()
    expected = rows(service)
    assert stored.empty(expected, "dead-letters", "judgements", "spending", "weave") == []
    for earliest in (True, False):

        def choose(end: int, earliest: bool = earliest) -> int:
            return 0 if earliest else chance.randrange(end)

        stored.log(service).rewind(choose)
        service.start()
        pass_markers(service)
        assert answers(service, requests) == before
        service.stop()
        assert rows(service) == expected


def test_every_record_appended_again_leaves_every_answer_the_same(judging: Judging) -> None:
    service = judging.start(call_wait=0.5)
    requests = fill(service)
    before = answers(service, requests)
    service.stop()
    stored.log(service).append_again()
    service.start()
    pass_markers(service)
    after = answers(service, requests)
    # At another position it is another attempt, which cost something too.
    assert after["requests"][0].pop("cost")["requests"] == 2 * before["requests"][0].pop("cost")["requests"] == 80
    assert after == before


def test_a_service_that_is_ready_shows_every_score_that_its_requests_count(
    make_service: Callable[..., Service],
) -> None:
    service = make_service().start()
    ids = [f"call-{n}" for n in range(2000)]
    service.log_calls(PROJECT, ids)
    service.wait_finished(service.submit(PROJECT, ids, service.refs("not_empty", "valid_json")))
    service.stop()
    # As if the worker had been killed when the progress of all tasks was in its changelog, and none of their scores.
    log = stored.log(service)
    changelog = "callscore-scores-changelog"
    log.append(changelog, [record._replace(value=None) for record in log.records(changelog)])
    shutil.rmtree(service.data_dir / "instance-0")
    log.rewind(lambda end: 0)
    service.start()
    assert len(service.items(f"/scores?project_id={PROJECT}&limit=1000")) == len(ids) * 2
