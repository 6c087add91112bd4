"""`make bench`: measures the embedded service end to end and writes bench/results/latest.{json,md}."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

from bench import load, machine, report
from tests.service import Service

REFS = 10
SIZES = (1_000, 10_000, 100_000)


async def throughput(service: Service) -> list[dict[str, float]]:
    """One submission of each size, on calls that are new: rate and cost per task."""
    refs = await load.publish(service, REFS)
    warm = await load.log_calls(service, "warm", 100)
    await load.score(service, warm, refs)
    rows = []
    for size in SIZES:
        call_ids = await load.log_calls(service, f"size-{size}", size // REFS)
        cpu = machine.cpu_seconds(service.pid)
        seconds, request = await load.score(service, call_ids, refs)
        assert request["tasks"]["succeeded"] == size, request
        rows.append(
            {
                "tasks": size,
                "seconds": round(seconds, 3),
                "tasks_per_second": round(size / seconds),
                "cpu_us_per_task": round((machine.cpu_seconds(service.pid) - cpu) / size * 1e6, 1),
                "rss_mb": round(machine.memory_mb(service.pid, peak=False)),
            }
        )
    return rows


def start_to_ready(service: Service) -> float:
    started = time.perf_counter()
    service.start()
    return round(time.perf_counter() - started, 2)


def measure(folder: Path) -> dict[str, object]:
    service = Service(folder / "data", partitions=load.PARTITIONS)
    results: dict[str, object] = {"machine": machine.facts(), "ready_empty_s": start_to_ready(service)}
    try:
        results["throughput"] = asyncio.run(throughput(service))
        refs = service.refs("not_empty", "valid_json", "refusal")
        asyncio.run(load.submit_latency(service, refs, 1, 50))
        for clients, each in ((1, 300), (64, 30)):
            latency = asyncio.run(load.submit_latency(service, refs, clients, each))
            results[f"submit_ms_{clients}_clients"] = {"p50": round(latency.p50, 2), "p99": round(latency.p99, 2)}
        results["peak_memory_mb"] = round(machine.memory_mb(service.pid, peak=True))
        service.stop()
        results["ready_with_scores_s"] = start_to_ready(service)
    finally:
        service.kill()
    results["disk_bytes"] = machine.disk_bytes(folder)
    return results


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="callscore-bench-"))
    try:
        results = measure(folder)
    finally:
        shutil.rmtree(folder)
    report.save("latest", results)


if __name__ == "__main__":
    main()
