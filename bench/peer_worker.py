"""What the peer's worker imports: its broker, and a task that does what our `contains` scorer does."""

import os

from bench.peer_broker import broker_at

URL = "BENCH_REDIS_URL"

broker = broker_at(os.environ[URL])


@broker.task(task_name="contains")
async def contains(call_id: str, output: str, text: str) -> dict[str, bool]:
    """The call comes with the task, which spares the worker a round trip to fetch it."""
    return {"passed": text in output}
