"""Killed during backoff, pause and probe: nothing lost, no attempt early, none repeated after success."""

import random
import time
from datetime import datetime
from typing import NamedTuple

import pytest

from tests.asking import Asking, ask, tasks, wait_for
from tests.brokers import on_both_logs
from tests.command import verified
from tests.length import at_length
from tests.provider import Provider
from tests.service import Service, until

pytestmark = on_both_logs


class Promise(NamedTuple):
    """That the next attempt on a call starts at `due`, said at `made`; both in Unix seconds."""

    call_id: str
    made: float
    due: float


def seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp()


def ask_and_wait(what: str, service: Service, provider: Provider, prefix: str) -> str:
    """Have tasks of a new request wait in one of three ways; returns the request's id."""
    provider.mood = "throttling" if what == "backoff" else "locked"
    request = ask(service, 12, prefix=prefix)
    wait_for(service, request, "retrying" if what == "backoff" else "paused", seconds=60)
    if what == "probe":
        provider.mood = "hanging"
        until(lambda: {one["state"] for one in service.items("/breakers")}, lambda states: "half_open" in states, 60)
    return request


@pytest.mark.timeout(3600)
def test_kills_during_backoff_pause_and_probe_lose_nothing_start_nothing_early_and_repeat_no_success(
    asking: Asking,
) -> None:
    kills = at_length(6, 20)
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    service, provider = asking.start({"concurrency": 5}, scorer_attempts=1000), asking.provider
    provider.retry_after = 15  # longer than a start takes
    requests: list[str] = []
    promised: list[Promise] = []
    for kill in range(kills):
        provider.mood = "well"
        requests.append(ask(service, 12, prefix=f"kill-{kill}"))
        wait_for(service, requests[-1], "succeeded", 3, seconds=60)
        what = ("backoff", "pause", "probe")[kill % 3]
        requests.append(ask_and_wait(what, service, provider, prefix=f"more-{kill}"))
        time.sleep(chance.uniform(0.0, 0.3))
        for request in requests:
            for task in tasks(service, request, "retrying"):
                promised.append(Promise(task["call_id"], time.time(), seconds(task["next_at"])))
        service.kill()
        service.start()
    provider.mood = "well"
    for request in requests:
        counts = service.wait_finished(request, 120)["tasks"]
        assert counts["succeeded"] == counts["total"] == 12
    check(provider, promised)
    verified(service)
    print(f"kills {kills}, promised next attempts {len(promised)}, asked {len(provider.arrivals)} times")


def check(provider: Provider, promised: list[Promise]) -> None:
    """No attempt before its time, and no success twice."""
    assert set(provider.succeeded.values()) == {1}
    assert promised
    offset = time.time() - time.monotonic()
    asked: dict[str, list[float]] = {}
    for at, _, call_id, _ in provider.arrivals:
        asked.setdefault(call_id, []).append(at + offset)
    early = [promise for promise in promised if any(promise.made < at < promise.due for at in asked[promise.call_id])]
    assert not early
