"""A time-out really frees the slot."""

from collections.abc import Callable

import pytest

from tests.asking import PROJECT, tasks
from tests.plugin_scorers import HUNG
from tests.service import Service

ENDS = {"swallows_some": "scorer_timeout", "loops_in_c_on_some": "scorer_timeout", "dies_of_some": "scorer_died"}


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    """With two places, so that two hung scorers hold all of them."""
    return make_service(
        scorers="tests.plugin_scorers", scorer_timeout=4, scorer_attempts=1, concurrency=4, scorer_concurrency=2
    ).start()


@pytest.mark.parametrize("scorer", list(ENDS))
def test_row_8_a_hung_attempt_ends_in_time_with_its_reason_and_others_take_its_place(
    service: Service, scorer: str
) -> None:
    hung = [f"hung-{n}" for n in range(4)]
    good = [f"good-{n}" for n in range(20)]
    service.log_calls(PROJECT, hung, HUNG)
    service.log_calls(PROJECT, good, "fine")
    request = service.submit(PROJECT, hung + good, service.refs(scorer))
    counts = service.wait_finished(request, 120)["tasks"]
    assert (counts["failed"], counts["succeeded"]) == (len(hung), len(good))
    failed = tasks(service, request, "failed")
    assert {task["call_id"] for task in failed} == set(hung)
    assert {(task["reason"], task["attempts"]) for task in failed} == {(ENDS[scorer], 1)}
