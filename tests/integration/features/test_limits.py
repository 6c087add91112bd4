"""A provider's and a scorer's limits hold, in every window and on all workers together."""

import os

from tests.asking import PROJECT, Asking, ask, log_calls, wait_for
from tests.length import at_length


def most(per_second: float, seconds: float) -> float:
    """That may be sent in a window: the limit and a twentieth, and one since it has two ends."""
    return per_second * seconds * 1.05 + 1


def test_row_7_a_providers_limits_hold_in_every_window_and_are_used(asking: Asking) -> None:
    service, provider = asking.start({"requests_per_minute": 3000, "concurrency": 8}), asking.provider
    provider.takes = 0.1
    request = service.wait_finished(ask(service, 300))
    assert request["tasks"]["succeeded"] == 300
    assert provider.most_at_once <= 8
    assert provider.most_in(3.0) <= most(50, 3.0)
    taken = provider.times()[-1] - provider.times()[0]
    assert taken < at_length(4, 1.25) * 300 / 50


def test_row_7_scorers_of_one_provider_share_its_limits(asking: Asking) -> None:
    service, provider = asking.start({"requests_per_minute": 1200}), asking.provider
    request = service.wait_finished(ask(service, 80, "asks", "asks_in_process"))
    assert request["tasks"]["succeeded"] == 160
    # What was let through to a process that starts is sent once it has.
    assert provider.most_in(3.0) <= most(20, 3.0) + (os.cpu_count() or 1)


def test_row_7_a_limit_that_is_published_with_a_scorer_holds(asking: Asking) -> None:
    service, provider = asking.start(), asking.provider
    body = {"name": "slowly", "kind": "asks", "policy": {"requests_per_minute": 600}}
    published = service.post("/scorers", body)
    assert published.status == 201, published.raw
    ref = published.json["ref"]
    request = service.wait_finished(service.submit(PROJECT, log_calls(service, 30), [ref]))
    assert request["tasks"]["succeeded"] == 30
    assert provider.most_in(2.0) <= most(10, 2.0)


def test_row_7_a_429_silences_the_provider_for_as_long_as_it_said_and_slows_it_down(asking: Asking) -> None:
    service, provider = asking.start({"concurrency": 5}), asking.provider
    provider.retry_after, provider.throttled_first = 3, 5
    request = ask(service, 200)
    wait_for(service, request, "retrying")
    assert service.wait_finished(request)["tasks"]["succeeded"] == 200
    assert len(provider.times("throttling")) == 5
    assert min(provider.times("well")) - max(provider.times("throttling")) >= 2.9
    assert provider.most_at_once <= 5
