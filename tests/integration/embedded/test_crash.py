import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from app.embedded.log import Log
from tests.integration.small_app import GROUP
from tests.service import ROOT

KILLS = int(os.environ.get("CALLSCORE_TEST_KILLS", "3"))

# Each client waits for its append, then prints what was acknowledged.
APPEND = """
import asyncio, sys
from app.embedded.log import Log

async def main():
    log = Log(sys.argv[1])
    log.create_topic("calls", 4)

    async def client(number):
        for count in range(1_000_000):
            value = b"%d/%d" % (number, count)
            place = await log.append("calls", number % 4, b"%d" % number, value)
            print(place.partition, place.offset, value.decode(), flush=True)

    await asyncio.gather(*[client(number) for number in range(32)])

asyncio.run(main())
"""

# The agent acks every event and appends more than the disk can hold: its offsets must not be committed.
FULL_DISK = """
import asyncio, resource, sys
from contextlib import suppress
from pathlib import Path
from app.embedded.errors import LogFailed
from tests.integration.small_app import Place, build, started

app = build(Place(Path(sys.argv[1])), topic_partitions=1)
calls = app.topic("calls", key_type=bytes, value_type=bytes)
seen = asyncio.Semaphore(0)

@app.agent(calls)
async def score(stream):
    async for event in stream.events():
        with suppress(LogFailed):
            app.producer.append("scores", 0, event.key, event.value, owed=True)
        seen.release()

async def main():
    async with started(app):
        app.producer.embedded.create_topic("scores", 1)
        await app.producer.append("calls", 0, b"", b"small")
        await seen.acquire()
        await app.producer.flush()
        await app.consumer.commit()
        for _ in range(5):
            app.producer.append("calls", 0, b"", bytes(50_000))
        await app.producer.flush()
        failed = asyncio.Event()
        app.consumer.embedded.on_failed(lambda _: failed.set())
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        await failed.wait()
        if not await app.consumer.commit():
            print("refused")
        assert isinstance(app.producer.failed, LogFailed)

asyncio.run(main())
"""


async def test_kill_9_amid_appends_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    delays = random.Random(seed)
    acknowledged: dict[tuple[int, int], bytes] = {}
    for _ in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", APPEND, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        await asyncio.sleep(delays.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
        for line in lines:
            if line.endswith(b"\n"):
                number, count, value = line.split()
                place = (int(number), int(count))
                assert place not in acknowledged, f"{place} was given twice"
                acknowledged[place] = value
    print(f"kills {KILLS}, acknowledged {len(acknowledged)}")
    log = Log(tmp_path)
    for (partition, offset), value in acknowledged.items():
        (record,) = log.read("calls", partition, offset, max_records=1)
        assert (record.offset, record.value) == (offset, value)
    for partition in range(4):
        assert (await log.append("calls", partition, None, b"")).offset > max(
            (offset for number, offset in acknowledged if number == partition), default=-1
        )
    await log.close()


async def test_commit_is_refused_when_a_send_was_lost(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert "refused" in run.stdout, run.stderr
    log = Log(tmp_path / "log")
    assert log.committed(GROUP, "calls", 0) == 1
    assert log.highwater("calls", 0) == 6
    await log.close()
