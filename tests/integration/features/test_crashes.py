"""Killed at any moment, nothing is lost, nothing counted twice, and billed again only what was in flight then.

What is killed, stopped, frozen, full or moved in every other way is in tests/crash.
"""

import random
import time
from collections import Counter
from collections.abc import Callable

from tests import stored
from tests.asking import PROJECT, Asking, ask, log_calls
from tests.brokers import on_both_logs
from tests.command import verified
from tests.length import at_length
from tests.provider import Provider
from tests.service import Service, until

pytestmark = on_both_logs

CALLS = 60
CONCURRENCY = 8


def test_kills_lose_nothing_count_nothing_twice_and_bill_again_only_what_was_in_flight(asking: Asking) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    service = asking.start({"concurrency": CONCURRENCY})
    provider = asking.provider
    provider.takes = 0.03
    requests: list[str] = []
    expected: Counter[str] = Counter()
    in_flight = asked_before = 0
    for kill in range(at_length(3, 20)):
        before = len(provider.arrivals)
        requests.append(ask(service, CALLS, prefix=f"kill-{kill}"))
        expected.update(f"kill-{kill}-{n}" for n in range(CALLS))
        wait_asked(provider, before + chance.randrange(1, CALLS // 2))
        service.kill()
        asked_in_vain = unanswered(provider, service, asked_before)
        asked_before = len(provider.arrivals)
        expected.update(asked_in_vain)
        in_flight += len(asked_in_vain)
        service.start()
    for request in requests:
        counts = service.wait_finished(request)["tasks"]
        assert counts["succeeded"] == counts["total"] == CALLS
    scores = service.items(f"/scores?project_id={PROJECT}&limit=1000")
    assert sorted(score["call_id"] for score in scores) == sorted(expected)
    assert {score["revision"] for score in scores} == {1}
    assert Counter(call_id for _, _, call_id, _ in provider.arrivals) == expected
    assert in_flight > 0
    assert "are the same" in verified(service)
    print(f"{len(requests)} kills, {len(scores)} tasks, {in_flight} in flight at a kill and asked again")


def test_a_stop_amid_scoring_loses_nothing_and_fails_nothing(make_service: Callable[..., Service]) -> None:
    service = make_service(scorers="tests.plugin_scorers", scorer_attempts=1).start()
    ids = log_calls(service, 2_000)
    request = service.submit(PROJECT, ids, service.refs("in_process", "patient", "not_empty"))
    for _ in range(3):
        done = service.status(request)["tasks"]["succeeded"]
        service.wait_for_tasks(request, "succeeded", done + 51, 60)
        assert service.stop() == 0
        service.start()
    counts = service.wait_finished(request)["tasks"]
    assert counts["succeeded"] == counts["total"] == 6_000
    assert "Traceback" not in service.log_path.read_text()


def wait_asked(provider: Provider, number: int) -> None:
    until(lambda: len(provider.arrivals), lambda asked: asked >= number, 60)


def unanswered(provider: Provider, service: Service, since: int) -> set[str]:
    """The calls that the provider was asked about since that arrival, whose outcome a killed service's log lacks."""
    known, same = -1, 0
    while provider.at_once or same < 5:  # what was under way to it may still arrive
        known, same = len(provider.arrivals), same + 1 if len(provider.arrivals) == known else 0
        time.sleep(0.1)
    ended = {call_id for _, call_id, *_ in stored.log(service).terminal_events()}
    return {call_id for _, _, call_id, _ in provider.arrivals[since:]} - ended
