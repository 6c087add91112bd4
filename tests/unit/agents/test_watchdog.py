"""What stands still is noticed, what has no reason to move is not."""

from agents.watchdog import Watch


def test_only_what_should_move_and_does_not_is_still() -> None:
    watch = Watch()
    assert watch.still_for("offset", 5, True, now=0.0) == 0.0
    assert watch.still_for("offset", 5, True, now=60.0) == 60.0
    assert watch.still_for("offset", 6, True, now=90.0) == 0.0
    assert watch.still_for("offset", 6, False, now=500.0) == 0.0
    assert watch.still_for("offset", 6, True, now=510.0) == 10.0


def test_what_is_forgotten_starts_anew_but_for_what_is_kept() -> None:
    watch = Watch()
    watch.still_for("kept", 1, True, now=0.0)
    watch.still_for("other", 1, True, now=0.0)
    watch.forget(but="kept")
    assert watch.still_for("kept", 1, True, now=9.0) == 9.0
    assert watch.still_for("other", 1, True, now=9.0) == 0.0
