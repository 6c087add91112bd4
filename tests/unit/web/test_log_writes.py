"""A log that takes nothing is not asked again and again, and what it took in the end counts."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from app import topics
from app.web import log_writes
from app.web.errors import ApiError
from app.web.log_writes import Writing, check, durable, write


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(log_writes, "_ACKNOWLEDGE_SECONDS", 0.01)
    yield
    assert not +log_writes._late, "nothing is late after a test"


def writing(partition: int) -> Writing:
    acknowledged: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    return Writing(topics.calls.name, partition, acknowledged)


async def test_a_partition_that_owes_an_acknowledgement_is_refused_at_once_until_it_has_given_it() -> None:
    late = writing(1)
    with pytest.raises(ApiError) as refused:
        await durable([late])
    assert refused.value.status == 503
    for partitions in ([1], [0, 1]):
        with pytest.raises(ApiError) as refused:
            check(topics.calls, partitions)
        assert refused.value.status == 503
    check(topics.calls, [0, 2])
    check(topics.score_requests, [1])
    late.acknowledged.set_result(None)
    await asyncio.sleep(0)
    check(topics.calls, [1])


async def test_a_record_that_is_refused_in_the_end_is_owed_no_longer() -> None:
    late = writing(0)
    with pytest.raises(ApiError):
        await durable([late])
    late.acknowledged.set_exception(OSError("no"))
    await asyncio.sleep(0)
    check(topics.calls, [0])


async def test_what_was_acknowledged_owes_nothing() -> None:
    done = writing(0)
    done.acknowledged.set_result(None)
    await durable([done])
    check(topics.calls, [0])


async def test_nothing_is_written_if_the_partition_of_any_record_owes_an_acknowledgement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    appended: list[bytes] = []

    def append(_topic: topics.Topic, _key: bytes, value: bytes, partition: int) -> "asyncio.Future[Any]":
        appended.append(value)
        acknowledged = writing(partition).acknowledged
        acknowledged.set_result(None)
        return acknowledged

    monkeypatch.setattr(topics.Topic, "append", append)
    monkeypatch.setattr(topics, "partition_of", lambda key: key[0])
    records = [(b"\0a", b"first"), (b"\1b", b"second")]
    late = writing(1)
    with pytest.raises(ApiError):
        await durable([late])
    with pytest.raises(ApiError):
        await write(topics.calls, records)
    assert appended == []
    late.acknowledged.set_result(None)
    await asyncio.sleep(0)
    await write(topics.calls, records)
    assert appended == [b"first", b"second"]
