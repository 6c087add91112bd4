"""A provider that throttles, fails, hangs and recovers, while workers come. All tasks succeed."""

import time
from collections import Counter

import pytest

from tests.asking import Asking, ask
from tests.brokers import kafka_only
from tests.length import at_length
from tests.provider import Mood, Provider
from tests.service import Service, answered, until

WINDOWS = (60.0, 10.0, 5.0)  # seconds


def in_flight(service: Service) -> int:
    return int(service.metrics()["callscore_tasks_in_flight"])


def pass_through(provider: Provider, mood: Mood, seconds: float) -> None:
    """Have the provider in a mood for so long, from when it is first asked in it."""
    provider.mood = mood
    provider.wait_asked(60)
    time.sleep(seconds)


def check_windows(provider: Provider, per_minute: float) -> None:
    seen = {window: provider.most_in(window) for window in WINDOWS}
    print(f"limit {per_minute:g}/min, asked {len(provider.times())} times, most in a window: {seen}")
    for window, most in seen.items():
        assert most <= per_minute / 60 * window * 1.05 + 1


@pytest.mark.timeout(3600)
def test_row_7_all_tasks_succeed_through_every_mood_of_a_provider_whose_limit_holds(asking: Asking) -> None:
    total, per_minute = at_length(600, 20_000), at_length(3000, 9000)
    lasts = at_length(3, 20)
    limits: dict[str, float] = {"requests_per_minute": per_minute, "concurrency": 50}
    service, provider = asking.start(limits, timeout=at_length(4, 1)), asking.provider
    request = ask(service, total)
    moods: tuple[Mood, ...] = ("throttling", "failing", "hanging", "locked")
    for mood in moods:
        pass_through(provider, mood, lasts)
        counts = service.status(request)["tasks"]
        print(mood, {state: number for state, number in counts.items() if number})
        assert counts["failed"] == 0
        # What waits holds no place: at most the one that looks how the provider is.
        until(lambda: in_flight(service), lambda number: number <= 1)
        pass_through(provider, "well", lasts)
    counts = service.wait_finished(request, 1800)["tasks"]
    assert (counts["succeeded"], counts["failed"]) == (total, 0)
    assert Counter(provider.succeeded.values()) == {1: total}
    check_windows(provider, per_minute)


@kafka_only
@pytest.mark.timeout(3600)
def test_row_7_a_limit_holds_while_a_second_worker_joins_and_leaves_and_both_use_it(asking: Asking) -> None:
    total, per_minute = at_length(2400, 20_000), at_length(2400, 9000)
    service, provider = asking.start({"requests_per_minute": per_minute}), asking.provider
    second = service.another()
    request = ask(service, total)
    provider.wait_asked(60)
    second.start()
    # Until both ask.
    until(
        lambda: {worker for _, _, _, worker in provider.arrivals[-100:]},
        lambda workers: str(second.port) in workers,
        120,
    )
    alone = len(provider.arrivals)
    second.wait_ready()
    time.sleep(at_length(8, 60))
    by_worker = Counter(worker for _, _, _, worker in provider.arrivals[alone:])
    print("while both ran:", dict(by_worker))
    second.stop()
    counts = answered(lambda: service.wait_finished(request, 1800), 1800)["tasks"]  # partitions are moving
    assert counts["succeeded"] == total
    assert by_worker[str(second.port)] > 0
    check_windows(provider, per_minute)
