"""A worker whose tables are gone has them again from their changelogs, whatever interrupts it meanwhile."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import rocksdict

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


def recovered_up_to(service: Service) -> dict[int, int]:
    """The offset that the table remembers in each partition that has one."""
    found = {}
    for path in (service.data_dir / "instance-0" / "tables").glob("scores-*.db"):
        found[partition_of(path)] = int(offset) if (offset := remembered(path)) else -1
    return found


def partition_of(path: Path) -> int:
    return int(path.name.removesuffix(".db").rsplit("-", 1)[1])


def remembered(path: Path) -> bytes | None:
    database = rocksdict.Rdict(
        str(path), rocksdict.Options(raw_mode=True), access_type=rocksdict.AccessType.read_only()
    )
    try:
        return database.get(stored.OFFSET_KEY)
    finally:
        database.close()


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
        reached = recovered_up_to(service)
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
    assert set(recovered_up_to(service).values()) == {RECORDS // PARTITIONS - 1}


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
        worker.log_calls(project, [{"id": call_id, "output": "x"} for call_id in ids])
        worker.wait_finished(worker.submit(project, ids, worker.refs("not_empty")))
        worker.stop()
        if worker is service:
            before = stored.tables(service)
    service.start()
    assert "had the tables of another log" in service.log()
    service.stop()
    assert stored.differences(before, stored.tables(service)) == []
