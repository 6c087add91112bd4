"""What is left of a spend cap is divided between workers that ask each other, so that none takes what another holds."""

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from agents.budgets import Budgets
from agents.limits import PLENTY
from app import cluster, topics
from app.days import DAY
from app.scorers import BoundScorer, Policy, Registry
from app.settings import Settings
from app.usage import Usage
from tables import in_flight, pauses, spending

PROJECT, CAP, USD = "acme/judging", 100, 10**12
UNPRICED = Usage(requests=1, unpriced=1)


class Others:
    """All workers, as this one finds them when it asks: `spent` by all, and `held` by the other one, in USD."""

    def __init__(self, where: tuple[str, str]) -> None:
        self.spent = 0
        self.spent_before = 0
        self.requests = 0
        self.unanswered = 0
        self.unpriced = 0
        self.held = 0
        self.answers = True
        self.partitions: dict[object, int] = {}  # how many of them answer, by query; all if it is not here
        self.seen: list[int] = []  # what this worker said that it holds, each time when it asked
        self._where = where

    async def every_worker(self, query: object, scorers: object) -> dict[str, list[int]]:
        self.seen += [amount // USD for amount in spending.held(0, [self._where])]
        return {"here": [0]} | ({"other": [self.held * USD]} if self.answers else {})

    async def everywhere(self, query: object, scorers: object, day: int) -> dict[int, Any]:
        """All of it in the first partition."""
        counts = {"requests": self.requests, "unanswered": self.unanswered, "unpriced": self.unpriced}
        taken = Usage(cost=self.taken * USD, **counts)
        there: Any = self.spent * USD if query is spending.spent else taken.as_dict()
        nothing: Any = 0 if query is spending.spent else {}
        partitions = self.partitions.get(query, topics.partitions())
        return {number: [nothing if number else there] for number in range(partitions)}

    @property
    def taken(self) -> int:
        """USD that the requests cost; what workers of before wrote down is not among it."""
        return self.spent - self.spent_before


def cost(usd: float) -> Usage:
    """Of an attempt that was answered."""
    return Usage(requests=1, cost=round(usd * USD))


@pytest.fixture
def bound() -> BoundScorer:
    return dataclasses.replace(Registry.load().parameterless()[0], policy=Policy(usd_per_day=CAP))


@pytest.fixture
async def budgets_of_one(bound: BoundScorer, others: Others) -> Budgets:
    """Of a worker that is alone and has just started."""
    made = Budgets(Settings().day_start, lambda: None)
    made.share = 1.0
    made.room(PROJECT, bound)
    await made.ask()
    return made


@pytest.fixture
def others(bound: BoundScorer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Others]:
    made = Others((PROJECT, bound.ref))
    monkeypatch.setattr(cluster, "here", lambda: "here")
    monkeypatch.setattr(cluster, "owners", lambda: {0: "here", 1: "other"})
    monkeypatch.setattr(cluster, "every_worker", made.every_worker)
    monkeypatch.setattr(cluster, "everywhere", made.everywhere)
    monkeypatch.setattr(pauses, "_spend_pauses", {})
    yield made
    spending.hold({})


@pytest.fixture
async def budgets(bound: BoundScorer, others: Others) -> Any:
    """Of a worker that has half of all limits, and for which an attempt has cost 1 USD."""
    made = Budgets(Settings().day_start, lambda: None)
    made.share = 0.5
    made.room(PROJECT, bound)
    await made.ask()
    for _ in range(CAP):  # so that nothing but the cap bounds how many may begin
        made.charge(PROJECT, bound.ref, cost(1))
    others.spent = 1
    await made.ask()
    others.seen.clear()
    return made


async def test_a_worker_spends_its_part_of_what_is_neither_spent_nor_held_by_another(
    budgets: Budgets, bound: BoundScorer, others: Others
) -> None:
    others.spent, others.held = 40, 20
    await budgets.ask()
    assert budgets.room(PROJECT, bound) == (CAP - 40 - 20) // 2
    assert spending.held(0, [(PROJECT, bound.ref)]) == [20 * USD]  # as others see
    for _ in range(20):  # and that is all of it until it has asked again
        assert budgets.room(PROJECT, bound) > 0
        budgets.charge(PROJECT, bound.ref, cost(1))
    assert budgets.room(PROJECT, bound) == 0


async def test_while_it_asks_a_worker_says_that_it_holds_the_most_that_it_may_take(
    budgets: Budgets, bound: BoundScorer, others: Others
) -> None:
    others.spent, others.held = 91, 9
    await budgets.ask()  # so that it holds nothing
    others.spent, others.held = 1, 70
    others.seen.clear()
    await budgets.ask()
    assert others.seen == [(CAP - 91) // 2]  # as far as it knows
    assert budgets.room(PROJECT, bound) == (CAP - 91) // 2
    await budgets.ask()
    assert others.seen[1:] == [(CAP - 1) // 2]
    assert budgets.room(PROJECT, bound) == (CAP - 1 - 70) // 2


@pytest.mark.parametrize("missing", [spending.held, spending.spent, spending.taken])
async def test_nothing_is_taken_while_a_worker_does_not_say_what_it_holds_or_what_was_spent_there(
    budgets: Budgets, bound: BoundScorer, others: Others, missing: object
) -> None:
    await budgets.ask()
    for _ in range(50):
        budgets.charge(PROJECT, bound.ref, cost(1))
    others.spent = 51
    if missing is spending.held:
        others.answers = False
    else:
        others.partitions = {missing: topics.partitions() - 1}
    await budgets.ask()
    assert budgets.room(PROJECT, bound) == 0
    others.answers, others.partitions = True, {}
    await budgets.ask()
    assert budgets.room(PROJECT, bound) == 24


async def test_a_worker_that_spent_more_than_it_held_holds_nothing_and_not_less_until_all_have_answered(
    budgets: Budgets, bound: BoundScorer, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = (PROJECT, bound.ref)
    budgets.charge(PROJECT, bound.ref, cost(2 * CAP))
    others.answers = False
    await budgets.ask()
    assert spending.held(0, [where]) == [0]  # a negative amount would look to others like more that is left
    others.answers, others.spent = True, 1 + 2 * CAP
    await budgets.ask()
    assert spending.held(0, [where]) == [0]
    assert min(others.seen) >= 0


async def test_no_more_begin_than_one_more_than_have_shown_what_they_cost(bound: BoundScorer, others: Others) -> None:
    budgets = Budgets(Settings().day_start, lambda: None)
    budgets.share = 1.0
    budgets.room(PROJECT, bound)
    await budgets.ask()
    rooms = []
    for usd in (0.0001, 0, 0):  # one that was cheap, and two that were free
        rooms.append(budgets.room(PROJECT, bound))
        budgets.charge(PROJECT, bound.ref, cost(usd))
    assert rooms == [1, 2, 3]


async def test_what_may_begin_is_taken_to_cost_what_the_dearest_of_the_last_attempts_did(
    budgets: Budgets, bound: BoundScorer, others: Others
) -> None:
    for _ in range(10):
        budgets.charge(PROJECT, bound.ref, cost(0))
    budgets.charge(PROJECT, bound.ref, cost(10))
    others.spent = 20
    await budgets.ask()
    assert budgets.room(PROJECT, bound) == (CAP - 20) // 2 // 10
    for _ in range(64):
        budgets.charge(PROJECT, bound.ref, cost(0.1))
    await budgets.ask()
    assert budgets.room(PROJECT, bound) > CAP


async def test_what_runs_stays_reserved_when_no_other_task_has_waited_for_long(
    budgets: Budgets, bound: BoundScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    where, running = (PROJECT, bound.ref), 5  # of 1 USD each
    monkeypatch.setattr(in_flight, "of_scorer", lambda *_: running)
    monkeypatch.setattr("agents.budgets._FORGET", 0.0)
    await budgets.ask()
    assert spending.held(0, [where])[0] >= 5 * USD
    running = 0
    await budgets.ask()
    assert spending.held(0, [where]) == [0]


async def test_what_runs_stays_reserved_when_nothing_is_left(
    budgets: Budgets, bound: BoundScorer, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "of_scorer", lambda *_: 5)  # of 1 USD each
    others.spent = CAP
    await budgets.ask()
    assert spending.held(0, [(PROJECT, bound.ref)]) == [5 * USD]


async def test_a_worker_whose_share_shrinks_says_that_it_holds_what_it_did_until_it_has_asked(
    budgets_of_one: Budgets, bound: BoundScorer, others: Others
) -> None:
    others.seen.clear()
    budgets_of_one.share = 0.5
    await budgets_of_one.ask()
    assert others.seen == [CAP]
    assert spending.held(0, [(PROJECT, bound.ref)]) == [CAP // 2 * USD]


async def test_what_is_left_is_spent_also_if_it_is_less_than_an_attempt_may_cost(
    budgets: Budgets, bound: BoundScorer, others: Others
) -> None:
    budgets.charge(PROJECT, bound.ref, cost(10))
    others.spent = CAP - 6
    await budgets.ask()
    assert budgets.room(PROJECT, bound) == 1
    budgets.charge(PROJECT, bound.ref, cost(6))
    assert budgets.room(PROJECT, bound) == 0
    assert pauses.reached_cap(PROJECT, bound.ref)


async def test_a_request_without_an_answer_counts_for_the_cap_as_much_as_the_dearest_of_the_last_attempts(
    bound: BoundScorer, others: Others
) -> None:
    budgets = Budgets(Settings().day_start, lambda: None)
    budgets.share = 1.0
    budgets.room(PROJECT, bound)
    await budgets.ask()
    for _ in range(3):  # before anybody knows what one costs: one at a time
        assert budgets.room(PROJECT, bound) == 1
        budgets.charge(PROJECT, bound.ref, Usage(unanswered=1))
    budgets.charge(PROJECT, bound.ref, cost(20))
    others.spent, others.requests, others.unanswered = 20, 1, 3
    await budgets.ask()
    assert budgets.room(PROJECT, bound) == (CAP - 20 - 3 * 20) // 20
    budgets.charge(PROJECT, bound.ref, Usage(unanswered=1))
    assert budgets.room(PROJECT, bound) == 0
    assert pauses.reached_cap(PROJECT, bound.ref)
    others.unanswered = 4
    await budgets.ask()
    assert budgets.room(PROJECT, bound) == 0


async def test_what_got_no_answer_before_a_worker_started_counts_as_much_as_a_request_of_today_cost_on_average(
    bound: BoundScorer, others: Others
) -> None:
    budgets = Budgets(Settings().day_start, lambda: None)
    budgets.share = 1.0
    others.spent, others.requests, others.unanswered = 40, 4, 5
    budgets.room(PROJECT, bound)
    await budgets.ask()
    assert budgets.room(PROJECT, bound) == 1
    others.unanswered = 6
    await budgets.ask()
    assert budgets.room(PROJECT, bound) == 0
    assert pauses.reached_cap(PROJECT, bound.ref)


async def test_what_a_worker_of_before_wrote_down_of_today_makes_no_request_since_look_dear(
    bound: BoundScorer, others: Others
) -> None:
    budgets = Budgets(Settings().day_start, lambda: None)
    budgets.share = 1.0
    others.spent, others.spent_before, others.requests, others.unanswered = 41, 40, 1, 2
    budgets.room(PROJECT, bound)
    await budgets.ask()
    assert budgets.room(PROJECT, bound) == 1
    assert not pauses.reached_cap(PROJECT, bound.ref)


async def test_an_answer_that_does_not_say_what_it_cost_counts_for_the_cap_as_one_that_got_lost(
    budgets_of_one: Budgets, bound: BoundScorer, others: Others
) -> None:
    budgets_of_one.charge(PROJECT, bound.ref, cost(20))
    for _ in range(3):
        budgets_of_one.charge(PROJECT, bound.ref, UNPRICED)
    assert budgets_of_one.room(PROJECT, bound) == (CAP - 20 - 3 * 20) // 20
    budgets_of_one.charge(PROJECT, bound.ref, UNPRICED)
    assert budgets_of_one.room(PROJECT, bound) == 0
    assert pauses.reached_cap(PROJECT, bound.ref)
    # After a restart, what a request cost on average of which that is known.
    others.spent, others.requests, others.unpriced = 20, 5, 4
    again = Budgets(Settings().day_start, lambda: None)
    again.share = 1.0
    again.room(PROJECT, bound)
    await again.ask()
    assert again.room(PROJECT, bound) == 0


async def test_where_no_answer_says_what_it_cost_nothing_more_begins_also_after_a_restart(
    budgets_of_one: Budgets, bound: BoundScorer, others: Others
) -> None:
    assert budgets_of_one.room(PROJECT, bound) == 1
    budgets_of_one.charge(PROJECT, bound.ref, UNPRICED)
    assert budgets_of_one.room(PROJECT, bound) == 0
    pause = pauses.of(PROJECT, bound.ref)
    assert pause is not None
    assert str(pause.reason).startswith("spend_cap_without_price")
    others.requests = others.unpriced = 1
    await budgets_of_one.ask()
    assert budgets_of_one.room(PROJECT, bound) == 0
    again = Budgets(Settings().day_start, lambda: None)
    again.share = 1.0
    again.room(PROJECT, bound)
    await again.ask()
    assert again.room(PROJECT, bound) == 0
    others.requests = 2  # one of which has said it
    await again.ask()
    assert again.room(PROJECT, bound) == 1


async def test_attempts_that_run_take_part_of_what_may_begin(
    budgets: Budgets, bound: BoundScorer, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    others.spent = 40
    await budgets.ask()
    monkeypatch.setattr(in_flight, "of_scorer", lambda *_: 12)
    assert budgets.room(PROJECT, bound) == (CAP - 40) // 2 - 12


async def test_a_scorer_without_a_cap_needs_no_budget_and_one_whose_cost_nobody_can_tell_gets_none(
    bound: BoundScorer, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = asyncio.Event()
    budgets = Budgets(Settings().day_start, woken.set)
    assert budgets.room(PROJECT, dataclasses.replace(bound, policy=Policy())) == PLENTY
    budgets.charge(PROJECT, bound.ref, cost(1))  # nobody follows what it costs
    monkeypatch.setattr("agents.budgets.lacks_price", lambda _: "no price")
    assert budgets.room(PROJECT, bound) == 0
    pause = pauses.of(PROJECT, bound.ref)
    assert pause is not None
    assert pause.reason == "spend_cap_without_price: no price"
    asking = asyncio.ensure_future(budgets.run())
    await asyncio.wait_for(woken.wait(), 10)  # to say so again
    asking.cancel()


async def test_a_cap_that_is_reached_pauses_its_scorer_until_it_is_raised_or_a_new_day_begins(
    budgets: Budgets, bound: BoundScorer, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    others.spent = CAP
    await budgets.ask()
    assert budgets.room(PROJECT, bound) == 0
    assert pauses.reached_cap(PROJECT, bound.ref) == CAP
    new = Budgets(Settings().day_start, lambda: None)  # of a worker that has yet to ask what was spent
    assert new.room(PROJECT, bound) == 0
    assert pauses.reached_cap(PROJECT, bound.ref) == CAP
    raised = dataclasses.replace(bound, policy=Policy(usd_per_day=CAP + 20))
    budgets.room(PROJECT, raised)
    assert pauses.reached_cap(PROJECT, bound.ref) is None
    await budgets.ask()
    assert budgets.room(PROJECT, raised) == 10
    await new.ask()
    assert new.room(PROJECT, raised) == 0  # as it has no share yet
    tomorrow = budgets.day() + DAY
    monkeypatch.setattr(budgets, "day", lambda: tomorrow)
    assert budgets.room(PROJECT, bound) == 0  # nothing is known of it yet
    others.spent = 0
    await budgets.ask()
    assert budgets.room(PROJECT, bound) == CAP // 2


async def test_workers_are_asked_again_and_again_as_long_as_a_task_of_a_capped_scorer_waits_or_runs_and_no_longer(
    bound: BoundScorer, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.budgets._ASK_AGAIN", 0.0)
    rooms: list[int] = []
    wakes, waits, running = 0, True, 0

    def wake() -> None:
        nonlocal wakes
        wakes += 1
        if waits:
            rooms.append(made.room(PROJECT, bound))

    async def woken(more: int) -> None:
        until = wakes + more
        async with asyncio.timeout(10):
            while wakes < until:  # noqa: ASYNC110
                await asyncio.sleep(0)

    async def rounds() -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def moving(*_: object) -> None:
        raise cluster.Unavailable("moving")

    monkeypatch.setattr(in_flight, "of_scorer", lambda *_: running)
    made = Budgets(Settings().day_start, wake)
    made.share = 1.0
    asking = asyncio.ensure_future(made.run())
    await rounds()
    assert wakes == 0
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "every_worker", moving)
        assert made.room(PROJECT, bound) == 0
        await woken(2)
    assert set(rooms) == {0}
    await woken(3)
    assert rooms[-1] == 1
    waits, running = False, 1
    monkeypatch.setattr("agents.budgets._FORGET", 0.0)
    await rounds()
    others.seen.clear()
    await woken(3)
    assert len(others.seen) >= 2
    running = 0
    await rounds()
    before = wakes
    await rounds()
    assert wakes == before
    assert not asking.done()
    asking.cancel()
