"""A submission is split so that each chunk lies with its calls."""

import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st

from app import ids, topics
from app.slices import Turns
from app.web.splitting import CHUNK_CALLS, check_call_ids, split


@given(st.lists(st.integers(0, 1500).map(str), max_size=3000))
def test_every_distinct_call_is_in_one_chunk_of_its_own_partition(call_ids: list[str]) -> None:
    calls, chunks = asyncio.run(split("acme/flow", call_ids, Turns()))
    assert calls == len(set(call_ids))
    assert sorted(call for _, chunk in chunks for call in chunk) == sorted(set(call_ids))
    for partition, chunk in chunks:
        assert 1 <= len(chunk) <= CHUNK_CALLS
        assert {topics.partition_of(ids.call_key("acme/flow", call)) for call in chunk} == {partition}


def test_calls_keep_their_order_and_fill_chunks_before_the_next_begins() -> None:
    call_ids = [str(number) for number in range(20_000)]
    _, chunks = asyncio.run(split("p", call_ids, Turns()))
    for partition in range(topics.partitions()):
        own = [call for call in call_ids if topics.partition_of(ids.call_key("p", call)) == partition]
        parts = [chunk for place, chunk in chunks if place == partition]
        assert [call for chunk in parts for call in chunk] == own
        assert all(len(chunk) == CHUNK_CALLS for chunk in parts[:-1])


async def test_a_hundred_thousand_ids_let_others_run_in_between() -> None:
    longest = 0.0
    done = asyncio.Event()

    async def watch() -> None:
        nonlocal longest
        while not done.is_set():
            began = time.thread_time()  # not the clock's: others run on the machine, too
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    watching = asyncio.create_task(watch())
    call_ids = [f"call-{number}" for number in range(100_000)]
    started = time.thread_time()
    turns = Turns()
    assert await check_call_ids(call_ids, turns) == []
    assert (await split("acme/flow", call_ids, turns))[0] == 100_000
    done.set()
    await watching
    assert 0.0 < longest < (time.thread_time() - started) / 4


async def test_call_ids_that_break_the_rules_are_named_by_their_place() -> None:
    mistakes = await check_call_ids(["ok", "", "a\nb", "x" * 513, "\ud83d"], Turns())
    assert [mistake["loc"] for mistake in mistakes] == [["body", "call_ids", place] for place in (1, 2, 3, 4)]
    assert mistakes[0] == {"loc": ["body", "call_ids", 1], "msg": "Call id must not be empty", "type": "invalid_id"}
