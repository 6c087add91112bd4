"""A control is carried out once, and acknowledged when nothing of it is owed any more."""

from collections.abc import Callable

import pytest

from agents.controls import steer
from agents.scoring import scoring
from app.events import RequestCancelled
from tests.unit.agents.delivered import Delivered, deliver, read
from tests.unit.rule_sets import rule_set

CANCEL = RequestCancelled(control_id="c", request_id="r", asked_by=None, asked_at=1.0)
RULE = rule_set()


class Obeyed:
    """Partition, request and number of the controls that are carried out, and what to call when they are."""

    def __init__(self) -> None:
        self.controls: list[tuple[int, str, int]] = []
        self.done: list[Callable[[], None]] = []

    def obey(self, partition: int, request_id: str, number: int, done: Callable[[], None]) -> None:
        self.controls.append((partition, request_id, number))
        self.done.append(done)


@pytest.fixture
def obeyed(bare_tables: None, monkeypatch: pytest.MonkeyPatch) -> Obeyed:
    made = Obeyed()
    monkeypatch.setattr(scoring.steering, "obey", made.obey)
    return made


async def test_a_control_is_acknowledged_once_it_is_carried_out(obeyed: Obeyed) -> None:
    delivered = Delivered(3, CANCEL)
    await read(steer, [delivered])
    assert not delivered.acknowledged
    obeyed.done[0]()
    assert delivered.acknowledged


async def test_a_control_that_comes_again_is_carried_out_again_and_one_that_was_sent_twice_is_not(
    obeyed: Obeyed,
) -> None:
    other = CANCEL.replace(control_id="other")
    asked = [(3, CANCEL), (4, CANCEL), (5, other), (3, CANCEL)]
    assert await deliver(steer, *asked) == [False, True, False, False]
    assert obeyed.controls == [(0, "r", 1), (0, "r", 2), (0, "r", 1)]


async def test_a_rule_needs_nothing_more_than_its_row(obeyed: Obeyed) -> None:
    assert await deliver(steer, (3, RULE)) == [True]
    assert obeyed.controls == []
