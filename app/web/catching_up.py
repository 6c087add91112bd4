"""Waiting until the tables hold what the log holds, so that whoever has just written something reads it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from app import cluster, topics
from app.web.errors import unavailable

T = TypeVar("T")

_CATCH_UP_SECONDS = 20.0  # below the 30 s after which the Weave SDK gives up: waiting is better than a 503


async def seen(topic: topics.Topic, key: bytes) -> None:
    """Return once everything that the key's partition holds now is in the tables of its owner.

    Raises:
        ApiError: 503, it takes too long.
        cluster.Unavailable: the owner cannot be asked now.
    """
    await _in_time(cluster.caught_up(topic, key))


async def seen_by_who_answers(topic: topics.Topic) -> None:
    """Return once everything that the topic holds now is in the tables, except those of a worker that does not answer.

    Raises as `seen`.
    """
    await _in_time(cluster.all_caught_up(topic))


async def seen_by_all(topic: topics.Topic) -> None:
    """Return once everything that the topic holds now is in the tables. Raises as `seen`, also if a worker is away."""
    cluster.whole(await _in_time(cluster.all_caught_up(topic)))


async def seen_by_all_past(topic: topics.Topic, moment: float) -> None:
    """Return once every record that the topic has, or will ever have, with a time up to `moment` is in the tables.

    `moment` is in Unix seconds. Raises as `seen_by_all`.
    """
    cluster.whole(await _in_time(cluster.all_caught_up_past(topic, moment)))


async def _in_time(caught_up: Coroutine[Any, Any, T]) -> T:
    try:
        async with asyncio.timeout(_CATCH_UP_SECONDS):
            return await caught_up
    except TimeoutError:
        raise unavailable("The tables are behind the log; ask again") from None
