"""Retry with backoff; transient told from terminal; Retry-After kept; terminal only after the retries."""

import time
from datetime import datetime

import pytest

from tests.asking import PROJECT, Asking, ask, tasks, wait_for

SLOW = 10  # seconds that a machine may be late which does other things too


def seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


@pytest.mark.parametrize("scorer", ["asks", "asks_in_process"])
def test_row_6_retry_after_is_kept_to_the_second_and_the_task_succeeds(asking: Asking, scorer: str) -> None:
    service, provider = asking.start(), asking.provider
    provider.retry_after, provider.throttled_first = 5, 1
    request = ask(service, 1, scorer)
    [task] = wait_for(service, request, "retrying")
    assert (task["attempts"], task["round"]) == (1, 1)
    assert task["reason"] in ("ClientResponseError", "HTTPError")
    assert seconds(task["next_at"]) - seconds(task["since"]) == pytest.approx(5, abs=0.5)
    service.wait_finished(request)
    first, second = provider.times()
    assert 5 <= second - first < 5 + SLOW
    [task] = tasks(service, request)
    assert (task["status"], task["attempts"]) == ("succeeded", 2)


def test_row_6_what_would_end_the_same_is_asked_once_and_fails_with_its_reason(asking: Asking) -> None:
    service = asking.start()
    asking.provider.mood = "refusing"
    request = service.wait_finished(ask(service, 3))
    assert request["tasks"]["failed"] == 3
    assert len(asking.provider.times()) == 3
    for score in service.items(f"/scores?project_id={PROJECT}"):
        assert (score["attempts"], score["error"]["type"]) == (1, "ClientResponseError")
        assert "400" in score["error"]["message"]
        assert "output" not in score


def test_row_6_a_terminal_state_comes_only_after_all_attempts(asking: Asking) -> None:
    service = asking.start(scorer_attempts=4, scorer_backoff=0.1)
    asking.provider.mood = "failing"
    request = ask(service, 1)
    service.wait_finished(request)
    [task] = tasks(service, request)
    assert (task["status"], task["attempts"], task["reason"]) == ("failed", 4, "ClientResponseError")
    assert len(asking.provider.times()) == 4


def test_row_6_a_retry_keeps_its_time_over_a_kill_and_holds_no_place_while_it_waits(asking: Asking) -> None:
    service, provider = asking.start(scorer_concurrency=1, concurrency=2), asking.provider
    provider.retry_after, provider.throttled_first = 30, 1
    request = ask(service, 1)
    [task] = wait_for(service, request, "retrying")
    due = seconds(task["next_at"])
    # The only place of the worker is free: others, which do not ask the provider, are scored meanwhile.
    assert service.wait_finished(ask(service, 20, "patient", prefix="other"))["tasks"]["succeeded"] == 20
    assert time.time() < due
    service.kill()
    service.start()
    ready = time.time()
    service.wait_finished(request)
    [task] = tasks(service, request)
    assert (task["status"], task["attempts"]) == ("succeeded", 2)
    assert len(provider.times()) == 2
    asked = provider.times()[1] - time.monotonic() + time.time()
    assert due <= asked < max(due, ready) + SLOW
