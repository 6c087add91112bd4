"""Workers of two versions ask each other for dead letters."""

from tables.dead_letters import Filters, matches


def test_what_a_worker_asks_and_says_that_knows_of_no_dismissal_is_understood() -> None:
    letter = {"project_id": None, "topic": "calls", "reason": "", "at": 1.0, "logged_at": 1.0, "redriven": None}
    asked: Filters = {
        "project_id": None, "topic": None, "reason": None, "since": None, "until": None, "redriven": False
    }  # fmt: skip
    assert matches(letter | {"dismissed": {"asked_by": "ann"}}, asked)
    assert matches(letter, asked | {"dismissed": False})
    assert not matches(letter, asked | {"dismissed": True})
