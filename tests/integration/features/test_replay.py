"""All state is rebuilt from the log alone, and is what the service has, row by row."""

import os
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rocksdict

from tests import stored
from tests.command import refused, run, said, verified
from tests.judging import Judging, publish
from tests.length import at_length
from tests.service import Service, until

PROJECT = "acme/replay"
SETTINGS: dict[str, Any] = {"scorer_attempts": 2, "scorer_backoff": 0.01, "call_wait": 300}


def fill(judging: Judging, service: Service, name: str) -> None:
    """Requests of every kind: plain, failing, repeated, retried, cancelled, waiting, of a judge.

    Rewritten calls, scorers, feedback, and a request that the judge does not answer.
    """
    ids = [f"{name}-{n}" for n in range(30)]
    service.log_calls(PROJECT, [{"id": call_id, "output": f"output {call_id}"} for call_id in ids])
    service.log_calls(PROJECT, [ids[0]], "another")
    published = {"name": f"has-{name}", "kind": "contains", "params": {"text": name}, "project_id": PROJECT}
    assert service.post("/scorers", published).status == 201
    ref = service.post("/scorers", published).json["ref"]
    note = {"feedback_type": "wandb.note.1", "payload": {"note": "so"}, "id": name, "creator": None}
    about = {"project_id": PROJECT, "weave_ref": f"weave:///{PROJECT}/call/{ids[0]}"}
    assert service.post("/feedback/create", about | note).status == 200
    judge = publish(service, f"judge-{name}", project=PROJECT, policy={"cache": True})
    judging.judge.hangs = False
    first = service.submit(PROJECT, [*ids, f"{name}-late"], [*service.refs("not_empty", "flaky", "raises"), ref, judge])
    joined = service.submit(PROJECT, [f"{name}-late"], service.refs("not_empty"), **{"Idempotency-Key": name})
    stopped = service.submit(PROJECT, ids, service.refs("hangs_softly"))
    assert service.post(f"/score-requests/{stopped}/cancel", {}).status in (200, 202)
    service.wait_for_tasks(joined, "waiting_for_call")
    service.log_calls(PROJECT, [{"id": f"{name}-late", "output": "late"}])
    service.wait_finished(first)
    assert service.post(f"/score-requests/{first}/retry", {}).status in (200, 202)
    judging.judge.hangs = True
    service.submit(PROJECT, [ids[0]], [judge], **{"Callscore-Rescore": f"{name}-unanswered"})
    until(lambda: sum(f"output {ids[0]}" in text for text in judging.judge.texts()), lambda asked: asked == 2)
    refs = service.refs("not_empty")  # whose outcome comes behind the judge's request, in the same partition
    again = service.submit(PROJECT, [ids[0], f"{name}-never"], refs, **{"Callscore-Rescore": name})
    service.wait_finished(first)
    # All that there is to do is done, and in the tables.
    service.wait_for_tasks(again, "succeeded")
    service.wait_for_tasks(again, "waiting_for_call")


def test_the_tables_of_a_service_are_what_the_log_makes_them_while_it_runs_and_when_it_is_stopped(
    judging: Judging,
) -> None:
    service = judging.start(**SETTINGS)
    fill(judging, service, "one")
    assert f"The tables of the service at {service.url} are the same" in verified(service)
    fewer = service.another(partitions=1)
    fewer.url = service.url
    assert "has 4 partitions, but CALLSCORE_PARTITIONS is 1" in refused(run(fewer, "replay", "--verify"))
    service.kill()
    assert "The tables of the stopped service are the same" in verified(service)
    service.start()
    fill(judging, service, "two")
    service.stop()
    last = verified(service)
    assert all(f"{table} 0" not in last for table in ("calls", "history", "scores", "controls", "dead-letters"))
    assert sorted(path.name for path in service.data_dir.iterdir() if path.name.startswith("replay")) == []


def test_a_service_at_work_is_compared_at_one_position_of_the_log(judging: Judging) -> None:
    service = judging.start(**SETTINGS)
    fill(judging, service, "before")
    done = threading.Event()
    requests: list[str] = []

    def work() -> None:
        while not done.is_set():
            ids = [f"busy-{len(requests)}-{n}" for n in range(20)]
            service.log_calls(PROJECT, ids)
            requests.append(service.submit(PROJECT, ids, service.refs("not_empty", "flaky")))

    client = threading.Thread(target=work)
    client.start()
    try:
        assert f"The tables of the service at {service.url} are the same" in verified(service)
        assert len(requests) > 5
    finally:
        done.set()
        client.join()


def test_the_first_row_that_differs_is_named(make_service: Callable[..., Service]) -> None:
    service = make_service(**SETTINGS).start()
    ids = [f"call-{n}" for n in range(8)]
    service.log_calls(PROJECT, ids)
    service.wait_finished(service.submit(PROJECT, ids, service.refs("not_empty")))
    service.stop()
    (partition, key), value = min(stored.tables(service)["scores"].items())
    path = service.data_dir / "instance-0" / "tables" / f"scores-{partition}.db"
    change(path, key, value.replace(b'"passed":true', b'"passed":false'))
    ended = run(service, "replay", "--verify")
    assert ended.returncode == 1
    difference = ended.stdout.decode().splitlines()[-1]
    assert difference.startswith(f"Table scores, partition {partition}, row {PROJECT} / call-")
    assert '"passed":false' in difference.split("the log gives")[0]
    assert '"passed":true' in difference.split("the log gives")[1]
    change(path, key, None)
    assert "the service has nothing" in run(service, "replay", "--verify").stdout.decode()


def change(path: Path, key: bytes, value: bytes | None) -> None:
    with rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True)) as database:
        if value is None:
            database.delete(key)
        else:
            database.put(key, value)


def test_a_past_state_is_rebuilt(judging: Judging, tmp_path: Path) -> None:
    service = judging.start(**SETTINGS)
    fill(judging, service, "one")
    service.stop()
    then = stored.tables(service)
    moment = datetime.fromtimestamp(time.time(), UTC).isoformat()
    service.start()
    fill(judging, service, "two")
    service.stop()
    now = stored.tables(service)
    said(run(service, "replay", str(tmp_path / "then"), "--as-of", moment))
    said(run(service, "replay", str(tmp_path / "now")))
    assert stored.empty(then, "begun", "dead-letters", "judgements", "spending", "weave") == []
    assert not stored.differences(stored.tables_in(tmp_path / "then"), then)
    assert not stored.differences(stored.tables_in(tmp_path / "now"), now)
    assert "is not empty" in refused(run(service, "replay", str(tmp_path / "now")), code=2)


def test_many_tasks_are_replayed_and_found_the_same(make_service: Callable[..., Service]) -> None:
    number = int(os.environ.get("CALLSCORE_TEST_REPLAYED", at_length(1_000, 100_000)))
    service = make_service(**SETTINGS).start()
    ids = [f"call-{n}" for n in range(number // 2)]
    service.log_calls(PROJECT, ids)
    request = service.submit(PROJECT, ids, service.refs("not_empty", "valid_json"))
    assert service.wait_finished(request, 600)["tasks"]["succeeded"] == number
    service.stop()
    shutil.rmtree(service.data_dir / "instance-0")
    service.start()
    service.stop()
    lines = said(run(service, "replay", "--verify"))
    print(lines)
    assert f"scores {number:,}" in lines[-1]
