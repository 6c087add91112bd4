"""The peer's worker: its broker, and a task that does the same as our `contains` scorer."""

import os

from bench.peer_broker import broker_at

URL = "BENCH_REDIS_URL"

broker = broker_at(os.environ[URL])


@broker.task(task_name="contains")
async def contains(call_id: str, output: str, text: str) -> dict[str, bool]:
    """The task carries its call, so the worker need not fetch it."""
    return {"passed": text in output}
