"""How dead letters are asked for: by workers of two versions, and by ids that are none."""

from tables import dead_letters, request_progress
from tables.dead_letters import Filters, matches


def test_what_a_worker_asks_and_says_that_knows_of_no_dismissal_is_understood() -> None:
    letter = {"project_id": None, "topic": "calls", "reason": "", "at": 1.0, "logged_at": 1.0, "redriven": None}
    asked: Filters = {
        "project_id": None, "topic": None, "reason": None, "since": None, "until": None, "redriven": False
    }  # fmt: skip
    assert matches(letter | {"dismissed": {"asked_by": "ann"}}, asked)
    assert matches(letter, asked | {"dismissed": False})
    assert not matches(letter, asked | {"dismissed": True})


def test_what_has_too_many_digits_is_no_id_and_no_place() -> None:
    many = "1" * 4400
    assert dead_letters.partition_in("001767225600000.calls.3.7") == 3
    assert dead_letters.partition_in(f"001767225600000.calls.{many}.7") is None
    assert not dead_letters.is_id(f"001767225600000.calls.3.{many}")
    assert request_progress.is_place("00000001.0000.0000")
    assert not request_progress.is_place(f"{many}.0000.0000")
