"""How dead letters are asked for: by ids that may be none."""

from tables import dead_letters, request_progress


def test_what_has_too_many_digits_is_no_id_and_no_place() -> None:
    many = "1" * 4400
    assert dead_letters.partition_in("001767225600000.calls.3.7") == 3
    assert dead_letters.partition_in(f"001767225600000.calls.{many}.7") is None
    assert not dead_letters.is_id(f"001767225600000.calls.3.{many}")
    assert request_progress.is_place("00000001.0000.0000")
    assert not request_progress.is_place(f"{many}.0000.0000")
