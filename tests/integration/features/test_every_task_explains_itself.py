"""Status of every call × scorer by API: its state, since when, why, what happened before and what comes next."""

from collections import Counter
from typing import Any

from tests.asking import PROJECT, TASK_FIELDS, Asking, ask, tasks, wait_for
from tests.service import Service, attempts


def shown(task: dict[str, Any]) -> tuple[Any, ...]:
    """Round, attempts, reason, whether a next attempt is named, whether a position in the log is."""
    assert task.keys() == TASK_FIELDS
    assert task["worker"].startswith("http://127.0.0.1:")
    assert task["next_at"] is None or task["next_at"] > task["since"]
    return (
        task["round"],
        task["attempts"],
        task["reason"],
        task["next_at"] is not None,
        task["position"] is not None,
    )


def one(service: Service, request: str, status: str) -> tuple[Any, ...]:
    return shown(wait_for(service, request, status)[0])


def test_row_4_each_state_says_since_when_why_and_what_comes_next(asking: Asking) -> None:
    service = asking.start(scorer_concurrency=1, scorer_timeout=30, scorer_backoff=0.01, scorer_attempts=2)
    provider = asking.provider

    waiting = service.submit(PROJECT, ["not-yet"], service.refs("not_empty"))
    assert one(service, waiting, "waiting_for_call") == (1, 0, "waiting_for_call", True, True)

    busy = ask(service, 3, "hangs_softly", prefix="busy")
    assert one(service, busy, "running") == (1, 0, None, False, False)
    assert one(service, busy, "queued") == (1, 0, None, False, False)

    later = ask(service, 1, "waits_a_day", prefix="later")
    assert one(service, later, "retrying") == (1, 1, "retry_later", True, True)

    done = ask(service, 1, "not_empty", prefix="done")
    assert one(service, done, "succeeded") == (1, 1, None, False, True)

    failed = ask(service, 1, "raises", prefix="failed")
    assert one(service, failed, "failed") == (1, 2, "LookupError", False, True)
    again = service.submit(PROJECT, ["failed-0"], service.refs("raises"))
    assert one(service, again, "failed") == (2, 2, "LookupError", False, True)
    assert one(service, failed, "failed")[0] == 2

    provider.mood = "locked"
    paused = ask(service, 1, "asks", prefix="paused")
    [task] = wait_for(service, paused, "paused")
    assert shown(task)[0] == 1
    assert task["reason"].startswith("ClientResponseError: 401")
    assert task["next_at"] is not None


def test_row_4_the_tasks_of_each_state_are_those_that_are_counted_in_it(asking: Asking) -> None:
    service = asking.start(scorer_attempts=2, scorer_backoff=0.01)
    asking.provider.mood = "locked"
    ids = [f"call-{n}" for n in range(40)]
    service.log_calls(PROJECT, ids[:30])
    request = service.submit(PROJECT, ids, service.refs("not_empty", "raises", "asks", "waits_a_day"))
    wanted = {"succeeded": 30, "failed": 30, "retrying": 30}
    # What comes to the provider's scorer when that is paused already waits for it, whether its call is there or not.
    waiting = {"paused": range(30, 41), "waiting_for_call": range(30, 41)}
    seen: list[dict[str, int]] = []
    for _ in attempts(120):  # now and then one of those that are paused runs, to see how the provider is
        counts = service.status(request)["tasks"]
        listed = {state: len(tasks(service, request, state)) for state in (*wanted, *waiting)}
        everything = Counter(task["status"] for task in tasks(service, request))
        seen = [{state: counts[state] for state in listed}, listed, dict(everything)]
        are_there = all(listed[state] == count for state, count in wanted.items())
        if seen[0] == listed == seen[2] and are_there and all(listed[state] in waiting[state] for state in waiting):
            assert sum(listed.values()) == 4 * len(ids)
            return
    raise AssertionError(seen)
