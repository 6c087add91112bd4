"""Row 7: a provider's and a scorer's limits hold, in every window and on all workers together."""

from tests.asking import PROJECT, Asking, ask, log_calls, wait_for


def test_row_7_a_providers_limits_hold_in_every_window_and_are_used(asking: Asking) -> None:
    service, provider = asking.start({"requests_per_minute": 3000, "concurrency": 8}), asking.provider
    provider.takes = 0.1
    request = service.wait_finished(ask(service, 300))
    assert request["tasks"]["succeeded"] == 300
    assert provider.most_at_once <= 8
    assert provider.most_in(3.0) <= 150 * 1.05
    taken = provider.times()[-1] - provider.times()[0]
    assert taken < 1.25 * 300 / 50


def test_row_7_scorers_of_one_provider_share_its_limits(asking: Asking) -> None:
    service, provider = asking.start({"requests_per_minute": 1200}), asking.provider
    request = service.wait_finished(ask(service, 80, "asks", "asks_in_process"))
    assert request["tasks"]["succeeded"] == 160
    assert provider.most_in(3.0) <= 60 * 1.05


def test_row_7_a_limit_that_is_published_with_a_scorer_holds(asking: Asking) -> None:
    service, provider = asking.start(), asking.provider
    body = {"name": "slowly", "kind": "asks", "policy": {"requests_per_minute": 600}}
    published = service.post("/scorers", body)
    assert published.status == 201, published.raw
    ref = published.json["ref"]
    request = service.wait_finished(service.submit(PROJECT, log_calls(service, 30), [ref]))
    assert request["tasks"]["succeeded"] == 30
    assert provider.most_in(2.0) <= 20 * 1.05


def test_row_7_a_429_silences_the_provider_for_as_long_as_it_said_and_slows_it_down(asking: Asking) -> None:
    service, provider = asking.start({"concurrency": 5}), asking.provider
    provider.retry_after = 3
    provider.mood = "throttling"
    request = ask(service, 200)
    wait_for(service, request, "retrying")
    provider.mood = "well"
    assert service.wait_finished(request)["tasks"]["succeeded"] == 200
    refused = max(provider.times("throttling"))
    assert len(provider.times("throttling")) <= 5
    assert min(provider.times("well")) - refused >= 2.9
    assert provider.most_at_once <= 5
