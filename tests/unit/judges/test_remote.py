"""The key of a provider is sent to endpoints below its base_url alone."""

import pytest

from app.judges.remote import _is_at
from app.providers import Provider

BASE = "https://api.example.com/team-a"


@pytest.mark.parametrize(
    "url",
    [BASE, f"{BASE}/", f"{BASE}?v=1", "https://API.example.com:443/team-a/./a..b/..c", f"{BASE}/x/../score?v=1"],
)
@pytest.mark.parametrize("base_url", [BASE, f"{BASE}/", f"{BASE}?api-version=1"])
def test_an_endpoint_below_the_base_url_gets_the_key(url: str, base_url: str) -> None:
    assert _is_at(url, Provider(base_url=base_url))


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/team-b/score",
        "https://api.example.com/team-a-too/score",
        "https://api.example.com:444/team-a/score",
        "http://api.example.com/team-a/score",
        "https://api.example.com.evil.example/team-a/score",
        f"{BASE}/../team-b/score",
        f"{BASE}/%2e%2E/team-b/score",
        f"{BASE}/..%2Fteam-b/score",
        f"{BASE}/..;/team-b/score",
        f"{BASE}/..%5Cteam-b",
        f"{BASE}/%2F..",
    ],
)
def test_an_endpoint_elsewhere_does_not_however_its_path_is_written(url: str) -> None:
    assert not _is_at(url, Provider(base_url=BASE))
