"""Process slots: shared by a dynamic threshold."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scorers.slots import ProcessSlots


async def _take(slots: ProcessSlots, ref: str) -> asyncio.Task[AsyncExitStack]:
    async def hold() -> AsyncExitStack:
        stack = AsyncExitStack()
        await stack.enter_async_context(slots.hold(ref))
        return stack

    task = asyncio.create_task(hold())
    await asyncio.sleep(0)
    return task


async def _give_back(task: asyncio.Task[AsyncExitStack]) -> None:
    await (await task).aclose()
    await asyncio.sleep(0)


async def test_a_scorer_takes_another_slot_only_while_it_holds_fewer_than_are_free() -> None:
    slots = ProcessSlots(total=8, per_scorer=8)
    greedy = [await _take(slots, "greedy") for _ in range(8)]
    assert sum(task.done() for task in greedy) == 4
    other = [await _take(slots, "other") for _ in range(8)]
    assert sum(task.done() for task in other) == 2
    third = await _take(slots, "third")
    assert third.done()
    for task in [*greedy, *other]:
        task.cancel()


async def test_a_scorer_never_holds_more_than_its_own_share() -> None:
    slots = ProcessSlots(total=16, per_scorer=2)
    taken = [await _take(slots, "a") for _ in range(5)]
    assert [task.done() for task in taken] == [True, True, False, False, False]
    await _give_back(taken[0])
    assert [task.done() for task in taken] == [True, True, True, False, False]
    for task in taken:
        task.cancel()


async def test_a_slot_goes_to_whoever_waits_in_turn() -> None:
    slots = ProcessSlots(total=1, per_scorer=1)
    first = await _take(slots, "a")
    again = [await _take(slots, "a") for _ in range(3)]
    other = await _take(slots, "b")
    await _give_back(first)
    assert again[0].done()
    await _give_back(again[0])
    assert other.done()
    await _give_back(other)
    assert again[1].done()
    again[2].cancel()


async def test_a_waiter_cancelled_as_a_slot_is_released_costs_no_slot_and_holds_up_nobody_behind_it() -> None:
    slots = ProcessSlots(total=1, per_scorer=1)
    first = await _take(slots, "a")
    cancelled, behind = [await _take(slots, "a") for _ in range(2)]
    cancelled.cancel()
    await _give_back(first)
    await _give_back(behind)
    assert slots.free == 1


@pytest.mark.parametrize("moment", ["while it waits", "as it is served"])
async def test_a_cancelled_waiter_keeps_no_slot(moment: str) -> None:
    slots = ProcessSlots(total=1, per_scorer=1)
    first = await _take(slots, "a")
    waiter = await _take(slots, "b")
    if moment == "as it is served":
        await (await first).aclose()
        waiter.cancel()
    else:
        waiter.cancel()
        await asyncio.sleep(0)
        await (await first).aclose()
    await asyncio.gather(waiter, return_exceptions=True)
    assert slots.free == 1
    assert (await _take(slots, "c")).done()


@given(
    total=st.integers(1, 6),
    per_scorer=st.integers(1, 6),
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=40),
)
def test_slots_are_never_lost_nor_given_twice(total: int, per_scorer: int, steps: list[tuple[str, int]]) -> None:
    async def scenario() -> None:
        slots = ProcessSlots(total, per_scorer)
        tasks: list[asyncio.Task[AsyncExitStack]] = []
        for ref, choice in steps:
            if choice < 6 or not tasks:
                tasks.append(await _take(slots, ref))
                continue
            task = tasks.pop(choice % len(tasks))
            if task.done():
                await _give_back(task)
            else:
                task.cancel()
                if choice < 8:  # else it notices only after the next step has begun
                    await asyncio.gather(task, return_exceptions=True)
            assert slots.free + sum(task.done() for task in tasks) == total
        while tasks:
            served = [task for task in tasks if task.done()]
            assert served, "somebody waits although nobody holds a slot"
            tasks.remove(served[0])
            await _give_back(served[0])
        assert slots.free == total

    asyncio.run(scenario())
