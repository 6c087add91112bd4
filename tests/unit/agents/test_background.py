"""A record is acknowledged when all that it owes is done."""

from agents.background import Owed


def test_what_is_owed_in_parts_is_done_once_with_the_last_of_them() -> None:
    done: list[bool] = []
    owed = Owed(lambda: done.append(True))
    first, second, third = owed.one(), owed.one(), owed.one()
    second()
    first()
    assert done == []
    third()
    assert done == [True]
