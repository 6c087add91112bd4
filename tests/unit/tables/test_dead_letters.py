"""How dead letters are asked for: by ids that may be none, and by the project of a record that may be anything."""

import pytest

from app import ids
from app.events import DeadLetter
from tables import dead_letters, request_progress


def test_what_has_too_many_digits_is_no_id_and_no_place() -> None:
    many = "1" * 4400
    assert dead_letters.partition_in("001767225600000.calls.3.7") == 3
    assert dead_letters.partition_in(f"001767225600000.calls.{many}.7") is None
    assert not dead_letters.is_id(f"001767225600000.calls.3.{many}")
    assert request_progress.is_place("00000001.0000.0000")
    assert not request_progress.is_place(f"{many}.0000.0000")


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[1]", b"7", b'{"project_id": 7}', b"{}"])
@pytest.mark.parametrize(
    ("topic", "key", "project_id"),
    [
        ("calls", ids.call_key("p", "c"), "p"),
        ("calls", b"\xff\0c", None),
        ("calls", None, None),
        ("controls", b"r", None),
    ],
)
def test_a_record_belongs_to_the_project_in_its_key_whatever_else_is_in_it(
    value: bytes | None, topic: str, key: bytes | None, project_id: str | None
) -> None:
    letter = DeadLetter(topic=topic, partition=0, offset=1, key=key, value=value, reason="r", detail="", at=1.0)
    row = dead_letters.fold(None, letter, 3)
    assert row is not None
    assert row.project_id == project_id
    told = dead_letters.fold(None, letter.replace(value=b'{"project_id": "q"}'), 3)
    assert told is not None
    assert told.project_id == "q"
