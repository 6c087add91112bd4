"""`callscore log` beside a service and without one: stats, check, dump, backup."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.embedded import keys
from app.embedded.store import open_database
from app.embedded.topic import load_topics
from app.keys import add_key
from tests import stored
from tests.command import done, log, refused
from tests.service import Service, complete_call, until

PROJECT = "acme/log"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A running service that has scored something."""
    service = Service(tmp_path / "data, here; #1? {of} 100%25", partitions=4).start()  # a valid folder name
    service.log_calls(PROJECT, [{"id": f"call-{n}", "output": f"output {n}"} for n in range(50)])
    service.wait_finished(score(service))
    yield service
    service.kill()


def score(service: Service, calls: int = 50) -> str:
    return service.submit(PROJECT, [f"call-{n}" for n in range(calls)], service.refs("not_empty"))


def lines(service: Service, *args: str) -> list[Any]:
    ended = log(service, *args)
    done(ended)
    return [json.loads(line) for line in ended.stdout.splitlines()]


def totals(stats: list[Any]) -> dict[str, tuple[int, int]]:
    """Records and lag of each primary topic."""
    names = {one["topic"] for one in stats if "changelog" not in one["topic"]}
    return {
        name: (
            sum(one["records"] for one in stats if one["topic"] == name),
            sum(one["lag"].get("callscore", one["end"]) for one in stats if one["topic"] == name),
        )
        for name in names
    }


def test_stats_and_records_are_shown_beside_a_running_service_and_without_it(service: Service) -> None:
    until(lambda: {lag for _, lag in totals(lines(service, "stats", "--json")).values()}, lambda lags: lags == {0})
    stats = lines(service, "stats", "--json")
    assert {one["partition"] for one in stats} == {0, 1, 2, 3}
    assert all(one["end"] - one["start"] == one["records"] for one in stats if "changelog" not in one["topic"])
    assert totals(stats)["calls"][0] == 50
    calls = lines(service, "dump", "--topic", "calls")
    assert sorted(call["value"]["call_id"] for call in calls) == sorted(f"call-{n}" for n in range(50))
    assert {call["key"] for call in calls} == {f"{PROJECT}\0call-{n}" for n in range(50)}
    assert all(call["timestamp"].startswith("20") and call["timestamp"].endswith("Z") for call in calls)
    [second] = lines(service, "dump", "--topic", "calls", "--partition", "2", "--from", "1", "--to", "2")
    assert second == [call for call in calls if call["partition"] == 2][1]

    service.stop()
    assert totals(lines(service, "stats", "--json")) == totals(stats)
    assert lines(service, "dump", "--topic", "calls", "--limit", "3") == calls[:3]
    shown = log(service, "stats").stdout.decode().splitlines()
    assert shown[0].split()[:3] == ["topic", "partition", "start"]
    assert [line.split()[:5] for line in shown if line.startswith("calls ")] == [
        ["calls", *(str(one[name]) for name in ("partition", "start", "end", "records"))]
        for one in stats
        if one["topic"] == "calls"
    ]


def test_keys_and_values_that_are_no_text_are_shown_as_base64(service: Service) -> None:
    service.stop()
    stored.log(service).append("calls", [stored.Record(0, 0, b"\xff", b"\xfe"), stored.Record(0, 0, None, None)])
    *_, odd, empty = lines(service, "dump", "--topic", "calls", "--partition", "0")
    assert (odd["key_base64"], odd["value_base64"]) == ("/w==", "/g==")
    assert (empty["key"], empty["value"]) == (None, None)


def test_a_log_is_checked_when_it_is_not_in_use(service: Service) -> None:
    assert "is open in another process: stop that process" in refused(log(service, "check"))
    service.stop()
    assert done(log(service, "check")) == "No problems found.\n"
    database = open_database(service.data_dir / "log")
    calls = load_topics(database)["calls"]
    database.put(calls.partitions[1].prefix + keys.pack_offset(2), b"no record")
    database.delete(calls.partitions[3].prefix + keys.pack_offset(1))
    database.close()
    ended = log(service, "check")
    assert ended.returncode == 1
    assert ended.stdout.decode().splitlines() == [
        "calls/1@2: the record cannot be decoded",
        "calls/3@1: 1 record is missing",
    ]


def test_compacted_changelogs_keep_the_newest_record_of_each_key_and_the_tables(service: Service) -> None:
    call = complete_call(PROJECT, {"id": "in two parts", "output": "x"})  # a row that is put twice
    start = {
        name: call[name] for name in ("project_id", "id", "trace_id", "op_name", "started_at", "attributes", "inputs")
    }
    end = {name: call[name] for name in ("project_id", "id", "ended_at", "output", "summary")}
    for part, content in (("start", start), ("end", end)):
        assert service.post(f"/v2/{PROJECT}/call/{part}", {part: content}).status == 200
    service.wait_finished(service.submit(PROJECT, ["in two parts"], service.refs("not_empty")))
    assert "is open in another process" in refused(log(service, "compact"))
    service.kill()
    kept = stored.log(service)
    for topic in ("callscore-calls-changelog", "callscore-scores-changelog"):
        kept.append(topic, kept.records(topic))  # in case it has been cleaned completely
    changelogs = [record for record in lines(service, "dump") if "changelog" in record["topic"]]
    newest = {(found["topic"], found["partition"], found["key"]) for found in changelogs}
    assert len(newest) < len(changelogs)
    ended = log(service, "compact")
    done(ended)
    removed = sum(int(line.split(": ")[1].split()[0]) for line in ended.stdout.decode().splitlines())
    assert 0 < removed <= len(changelogs) - len(newest)
    left = [record for record in lines(service, "dump") if "changelog" in record["topic"]]
    assert len(left) == len(changelogs) - removed
    assert done(log(service, "check")) == "No problems found.\n"
    whole = refused(log(service, "compact", "--topic", "calls"), code=2)
    assert "calls is kept whole, so it is not compacted" in whole
    assert "There is no topic typo in the log" in refused(log(service, "compact", "--topic", "typo"), code=2)
    shutil.rmtree(service.data_dir / "instance-0")
    service.start()
    assert len(service.items(f"/scores?project_id={PROJECT}")) == 51


@contextmanager
def load(service: Service) -> Iterator[list[str]]:
    """Clients that log calls and have them scored, one after the other; the ids of the calls that were acknowledged."""
    acknowledged: list[str] = []
    stop = threading.Event()

    def client(name: int) -> None:
        number = 0
        while not stop.is_set():
            call_id = f"load-{name}-{number}"
            service.log_calls(PROJECT, [call_id], "x" * 1000)
            service.submit(PROJECT, [call_id], refs)
            acknowledged.append(call_id)
            number += 1

    refs = service.refs("not_empty")
    threads = [threading.Thread(target=client, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield acknowledged
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def enough(found: list[str], number: int) -> bool:
    return len(found) >= number


def test_a_backup_made_under_load_is_whole_and_has_all_that_was_acknowledged_before(
    service: Service, tmp_path: Path
) -> None:
    backups = [tmp_path / f"backup-{number}" for number in range(2)]
    before: list[list[str]] = []
    with load(service) as acknowledged:
        for number, backup in enumerate(backups):
            until(partial(enough, acknowledged, 100 * (number + 1)))
            before.append(list(acknowledged))
            done(log(service, "backup", str(backup), "--url", service.url))
    assert not list(service.data_dir.glob("*checkpoint*"))
    service.stop()
    for number, (backup, calls) in enumerate(zip(backups, before, strict=True)):
        assert done(log(service, "check", "--dir", str(backup))) == "No problems found.\n"
        records = lines(service, "dump", "--dir", str(backup), "--topic", "calls")
        shown = {record["value"]["call_id"] for record in records}
        assert shown >= set(calls)
        restored = Service(tmp_path / f"restored-{number}", partitions=4)
        restored.data_dir.mkdir()
        shutil.copytree(backup, restored.data_dir / "log")
        restored.start()
        try:
            request = restored.wait_finished(restored.submit(PROJECT, calls, restored.refs("not_empty")))
            assert request["tasks"]["succeeded"] == len(calls)
            assert len(restored.items(f"/calls?project_id={PROJECT}")) == len(shown)
        finally:
            restored.kill()


def test_a_backup_of_a_stopped_log_is_whole_and_replaces_nothing(service: Service, tmp_path: Path) -> None:
    service.stop()
    done(log(service, "backup", str(tmp_path / "backup")))
    assert lines(service, "dump", "--dir", str(tmp_path / "backup")) == lines(service, "dump")
    assert "There is something at" in refused(log(service, "backup", str(tmp_path / "backup")), code=2)


def test_only_a_key_for_all_projects_backs_up_and_only_the_log_of_that_service(
    tmp_path: Path,
) -> None:
    file = tmp_path / "keys"
    some, every = add_key(file, "ann", ["acme/*"]), add_key(file, "ops", ["*"])
    guarded, other = (Service(tmp_path / name, api_keys=file) for name in ("guarded", "other"))
    for service in (guarded, other):
        service.spawn()
    try:
        for service in (guarded, other):
            service.wait_ready()
        there = str(tmp_path / "backup")
        at = ("backup", there, "--url", guarded.url, "--api-key")
        assert "Only a key for all projects" in refused(log(guarded, *at, some))
        assert "does not accept this API key" in refused(log(guarded, *at, "wrong"))
        left = other.data_dir / "log.checkpoint"  # as an interrupted backup leaves it
        left.mkdir()
        assert "by another process than the service at" in refused(log(other, *at, every))
        assert not left.exists()
        assert not (tmp_path / "backup").exists()
        done(log(guarded, *at, every))
        assert done(log(guarded, "check", "--dir", there)) == "No problems found.\n"
    finally:
        guarded.kill()
        other.kill()


def test_kafka_s_log_is_looked_after_by_kafka_s_tools(tmp_path: Path) -> None:
    service = Service(tmp_path / "data", broker="kafka://127.0.0.1:9")
    for command in (("stats",), ("check",), ("dump",), ("backup", str(tmp_path / "backup"))):
        ended = log(service, *command)
        assert ended.returncode == 2
        assert ended.stderr.decode().startswith("CALLSCORE_BROKER names Kafka")


def test_a_kafka_that_is_away_and_a_wrong_setting_are_one_sentence(tmp_path: Path) -> None:
    away = Service(tmp_path / "data", broker="kafka://127.0.0.1:9")
    said = refused(log(away, "export", str(tmp_path / "log.jsonl")))
    assert said.startswith("Kafka cannot be used: 127.0.0.1:9: [Errno ")
    wrong = log(Service(tmp_path / "data", partitions=0), "export", "-")
    assert (wrong.returncode, wrong.stderr.decode().splitlines()) == (
        2, ["CALLSCORE_PARTITIONS='0': Input should be greater than or equal to 1"],
    )  # fmt: skip
