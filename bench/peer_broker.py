"""The peer's broker, taskiq on Redis streams, for its worker and its client."""

from typing import Any

from redis.asyncio import Redis
from taskiq import TaskiqMessage, TaskiqMiddleware, TaskiqResult
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

DONE = "done"  # the counter of results that are stored


class Counting(TaskiqMiddleware):
    """Counts a task once its result is stored, which is what a client waits for."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._redis = Redis.from_url(url)

    async def post_save(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:
        await self._redis.incr(DONE)


def broker_at(url: str) -> RedisStreamBroker:
    """The broker with its defaults: a task is acknowledged once its result is stored."""
    return (
        RedisStreamBroker(url, consumer_id="0")
        .with_result_backend(RedisAsyncResultBackend(url))
        .with_middlewares(Counting(url))
    )
