import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.embedded import cleaner
from app.embedded.cleaning import CleanedStats
from app.embedded.log import Log
from tests.integration.small_app import Place, running

KEYS = 300

# Clients overwrite and delete keys of a topic that is cleaned all the time, and print what was acknowledged.
OVERWRITE = """
import asyncio, sys
from app.embedded import cleaning
from app.embedded.log import Log

async def main():
    log = Log(sys.argv[1])
    log.create_topic("rows", 2, {"cleanup.policy": "compact", "delete.retention.ms": 50})

    async def client(number):
        for count in range(1_000_000):
            key = b"%d" % (number + 30 * (count % 10))
            value = None if count % 3 == 2 else b"%d" % count
            place = await log.append("rows", number % 2, key, value)
            print(place.partition, place.offset, key.decode(), "-" if value is None else value.decode(), flush=True)

    async def clean():
        removed = 0
        while True:
            stats = await log.compact("rows")
            if stats.removed and not removed:
                removed = stats.removed
                print("cleaning", flush=True)
            await asyncio.sleep(0)

    await asyncio.gather(clean(), *[client(number) for number in range(30)])

asyncio.run(main())
"""


async def test_kill_9_amid_cleaning_loses_no_newest_record_and_brings_back_no_deleted_one(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    delays = random.Random(seed)
    newest: dict[bytes, tuple[int, int, bytes]] = {}
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", OVERWRITE, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        lines: list[bytes] = []
        while not lines or lines[-1] != b"cleaning\n":
            lines.append(process.stdout.readline())
        await asyncio.sleep(delays.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
        for line in lines:
            if line.endswith(b"\n") and line != b"cleaning\n":
                number, count, key, value = line.split()
                newest[key] = (int(number), int(count), value)
    assert len(newest) == KEYS
    log = Log(tmp_path)
    for _ in range(2):  # as it was left, and after another cleaning
        there = [record for partition in range(2) for record in log.read("rows", partition, 0, 1 << 30, 1 << 30)]
        for key, (partition, offset, value) in newest.items():
            last = max(
                (record for record in there if record.key == key), key=lambda record: record.offset, default=None
            )
            if last is not None and last.offset > offset:
                continue  # a later record, which was not acknowledged
            if value == b"-":
                assert last is None or last.value is None, f"{key!r} is back"
            else:
                assert last is not None, f"{key!r} is lost"
                assert (last.partition, last.offset, last.value) == (partition, offset, value)
        await log.compact("rows")
    await log.close()


async def test_changelogs_are_declared_compacted_and_cleaned_while_the_worker_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaner, "INTERVAL", 0.05)
    cleaned = asyncio.Semaphore(0)
    clean = Log.clean

    async def clean_and_tell(log: Log) -> CleanedStats:
        stats = await clean(log)
        cleaned.release()
        return stats

    monkeypatch.setattr(Log, "clean", clean_and_tell)
    place = Place(tmp_path)
    async with running(place) as worker:
        log, changelog = worker.app.consumer.embedded, place.changelog("rows")
        assert log.topics[changelog].config["cleanup.policy"] == "compact"
        for count in range(5):
            await worker.send({b"%d" % key: b"%d" % count for key in range(40)})
        await worker.has_seen(200)
        await worker.app.producer.flush()
        offsets = [log.highwater(changelog, partition) for partition in range(4)]
        while cleaned.locked() is False:
            await cleaned.acquire()
        for _ in range(2):  # the second one began after all was written
            await cleaned.acquire()
        assert sum(len(log.read(changelog, partition, 0)) for partition in range(4)) == 40
        assert [log.highwater(changelog, partition) for partition in range(4)] == offsets
        assert sum(len(log.read(worker.topic, partition, 0)) for partition in range(4)) == 200
        assert worker.rows() == {b"%d" % key: b"4" for key in range(40)}


async def test_worker_that_is_stopped_waits_for_no_cleaning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaner, "INTERVAL", 0.05)
    begun = asyncio.Event()

    async def clean_for_ever(log: Log) -> CleanedStats:
        begun.set()
        while True:
            await log.compact(Place(tmp_path).changelog("rows"))
            await asyncio.sleep(0)

    monkeypatch.setattr(Log, "clean", clean_for_ever)
    async with running(Place(tmp_path)) as worker:
        await worker.send({b"%d" % key: b"" for key in range(40)})
        await begun.wait()
        async with asyncio.timeout(60):
            await worker.app.stop()
