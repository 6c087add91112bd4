"""`python -m bench.recovery [records]`: how soon a worker is ready whose tables are gone, or there."""

import asyncio
import json
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import orjson

from app.embedded.log import Log
from tests.service import Service
from tests.stored import GROUP

PARTITIONS = 8
SCORES = f"{GROUP}-scores-changelog"
RECORDS = 1_000_000


def score(number: int) -> tuple[bytes, bytes]:
    """Key and value of a row of tables/scores, as the recorder writes it."""
    call_id, digest = f"call-{number // 10:08}", f"{number % 10:064x}"
    ref = f"callscore:///scorer/bench-{number % 10}:{digest}"
    row = {
        "offset": number,
        "round": 1,
        "status": "succeeded",
        "output": {"passed": number % 3 == 0},
        "attempts": 1,
        "at": 1_700_000_000.0 + number,
        "op_name": "answer",
        "lineage": {"scorer_ref": ref, "scorer_kind": "contains", "input_digest": digest, "request_id": digest[:36]},
    }
    return "\0".join(("bench/project", call_id, ref, "")).encode(), orjson.dumps(row)


async def fill(path: Path, records: int) -> None:
    """Write the changelog that so many scores leave behind."""
    log = Log(path)
    log.create_topic(SCORES, PARTITIONS)
    for number in range(records):
        log.append(SCORES, number // 10 % PARTITIONS, *score(number))
        if number % 5_000 == 0:
            await log.flush()
    await log.close()


def ready(service: Service) -> float:
    """Seconds from the start of the process until it is ready; it is stopped afterwards."""
    service.spawn()
    started = time.perf_counter()
    service.wait_ready(600)
    seconds = time.perf_counter() - started
    service.stop()
    return seconds


def measure(folder: Path, records: int = RECORDS) -> dict[str, float]:
    """Seconds to ready on an empty log, with all tables to recover, and with all tables there."""
    empty = ready(Service(folder / "empty", partitions=PARTITIONS))
    asyncio.run(fill(folder / "full" / "log", records))
    service = Service(folder / "full", partitions=PARTITIONS, log_level="INFO")
    lost = ready(service)
    kept = ready(service)
    said = re.search(r"recovered (\d+) changelog records in ([\d.]+) s", service.log_path.read_text())
    assert said is not None, service.log()
    return {
        "changelog_records": int(said[1]),
        "recovered_per_second": round(int(said[1]) / float(said[2])),
        "ready_empty_s": round(empty, 2),
        "ready_tables_lost_s": round(lost, 2),
        "ready_tables_kept_s": round(kept, 2),
    }


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="callscore-bench-"))
    try:
        print(json.dumps(measure(folder, int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS), indent=2))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
