"""A worker whose tables are gone has them again from their changelogs, whatever interrupts it meanwhile."""

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest
import rocksdict

from app.exits import EXIT_STUCK
from tests import stored
from tests.brokers import Broker, OnKafka, on_both_logs
from tests.service import PARTITIONS, Service, attempts

pytestmark = on_both_logs

CHANGELOG = f"{stored.GROUP}-scores-changelog"
RECORDS = 160_000


def changelog() -> list[stored.Record]:
    """Puts of many rows, each twelfth of them deleted again later, the others overwritten or not."""
    records = []
    for number in range(RECORDS):
        row = b"project\0call-%d\0ref\0" % (number % (RECORDS * 3 // 4))
        value = None if number >= RECORDS * 3 // 4 and number % 3 == 0 else b'{"offset": %d}' % number
        records.append(stored.Record(number % PARTITIONS, number // PARTITIONS, row, value))
    return records


def rows_after(records: list[stored.Record]) -> dict[tuple[int, bytes], bytes]:
    """What a table has once these records are applied."""
    rows: dict[tuple[int, bytes], bytes] = {}
    for record in records:
        assert record.key is not None
        if record.value is None:
            rows.pop((record.partition, record.key), None)
        else:
            rows[record.partition, record.key] = record.value
    return rows


def wait_recovering(service: Service) -> None:
    """Wait until it says that it recovers, or is ready."""
    for _ in attempts(60):
        with suppress(OSError):
            answer = service.get("/readyz")
            if answer.status == 200 or f"% of {RECORDS} changelog records" in answer.json["reason"]:
                return
    raise AssertionError(service.log())


def test_kill_9_amid_recovery_leaves_rows_that_match_their_offset_and_the_next_start_has_them_all(
    make_service: Callable[..., Service],
) -> None:
    service = make_service().start()
    service.stop()
    shutil.rmtree(service.data_dir / "instance-0")
    records = changelog()
    stored.log(service).append(CHANGELOG, records)

    for _ in range(10):
        service.spawn()
        wait_recovering(service)
        service.kill()
        reached = stored.offsets(service, "scores")
        if any(offset < RECORDS // PARTITIONS - 1 for offset in reached.values()):
            break
        shutil.rmtree(service.data_dir / "instance-0")  # it was through before the kill
    else:
        raise AssertionError("it was always through before the kill")
    applied = [record for record in records if record.offset <= reached.get(record.partition, -1)]
    assert stored.tables(service).get("scores", {}) == rows_after(applied)

    service.start()
    service.stop()
    assert stored.tables(service)["scores"] == rows_after(records)
    assert set(stored.offsets(service, "scores").values()) == {RECORDS // PARTITIONS - 1}


def test_a_table_that_is_damaged_is_recovered_at_the_next_start_and_until_then_no_list_is_shorter(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(partitions=1).start()
    ids = [f"call-{number}" for number in range(400)]
    service.log_calls("acme/one", [{"id": call_id, "output": call_id * 50} for call_id in ids])
    service.wait_finished(service.submit("acme/one", ids, service.refs("not_empty")))
    service.stop()
    before = stored.tables(service)
    path = service.data_dir / "instance-0" / "tables" / "calls-0.db"
    rocksdict.Rdict(str(path), rocksdict.Options(raw_mode=True)).close()  # moves the rows to files of their own
    file = max(path.glob("*.sst"), key=lambda found: found.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    service.start()
    with suppress(OSError, HTTPException):
        pytest.fail(f"{len(service.items('/calls?project_id=acme/one'))} of {len(ids)} calls were listed")
    assert service.wait_ended() == EXIT_STUCK
    assert re.search(r"the table at \S+/calls-0.db is damaged \(Corruption: ", service.log())
    assert "Traceback" not in service.log()

    service.start()
    assert len(service.items("/calls?project_id=acme/one")) == len(ids)
    service.stop()
    assert stored.differences(before, stored.tables(service)) == []


def test_a_data_folder_that_another_log_had_meanwhile_has_the_rows_of_this_log_and_no_others(
    make_service: Callable[..., Service], broker: Broker, tmp_path: Path
) -> None:
    service = make_service()
    own = {"kafka_prefix": broker.prefix()} if isinstance(broker, OnKafka) else {"broker": f"embedded://{tmp_path}/2"}
    other = service.another(**own)
    for worker, project, calls in ((service, "acme/one", 2), (other, "acme/two", 40)):
        worker.start()
        assert worker.items("/score-requests?project_id=acme/one") == []
        ids = [f"call-{number}" for number in range(calls)]
        worker.log_calls(project, ids)
        worker.wait_finished(worker.submit(project, ids, worker.refs("not_empty")))
        worker.stop()
        if worker is service:
            before = stored.tables(service)
    service.start()
    assert "had the tables of another log" in service.log()
    service.stop()
    assert stored.differences(before, stored.tables(service)) == []
