"""How tests wait for what can only be asked."""

import pytest

from tests.service import until


def test_a_wait_for_what_never_comes_fails_and_says_what_came_instead() -> None:
    with pytest.raises(AssertionError, match="still 'queued'"):
        until(lambda: "queued", lambda state: state == "succeeded", 0.02)


def test_a_wait_returns_the_first_answer_that_holds() -> None:
    answers = iter(range(10))
    assert until(lambda: next(answers), lambda answer: answer > 2) == 3
