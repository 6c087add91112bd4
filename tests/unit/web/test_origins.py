"""No page of another site can use the service through the browser of somebody who can reach it."""

from pathlib import Path

import pytest

from app.keys import KeyFile, add_key
from app.settings import Settings
from tests.unit.web.client import Client, running

OWN = ["localhost", "LocalHost:80", "localhost.", "a.localhost", "127.0.0.1:6066", "10.0.0.7", "[::1]:6066"]
OTHERS = ["evil.example:6066", "localhost.evil.example", "evillocalhost", "[::1", "", ":6066", "127.0.0.1.evil.ex", "."]


@pytest.mark.parametrize("host", OWN)
def test_without_keys_localhost_and_addresses_are_answered(client: Client, host: str) -> None:
    assert client.get("/healthz", Host=host).status == 200


@pytest.mark.parametrize("host", OTHERS)
@pytest.mark.parametrize("path", ["/", "/metrics", "/scores?project_id=a", "/server_info"])
def test_without_keys_no_page_can_read_by_giving_its_name_the_address_of_this_machine(
    client: Client, path: str, host: str
) -> None:
    answer = client.get(path, Host=host)
    assert answer.status == 403
    reason = answer.json["reason"] if path == "/server_info" else answer.json["detail"][0]["msg"]
    assert "set that variable, or CALLSCORE_API_KEYS" in reason


def test_without_keys_the_host_of_the_advertised_url_is_answered(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(advertised_url="https://Scores.example/")
    monkeypatch.setattr("app.web.origins.get_settings", lambda: settings)
    assert client.get("/healthz", Host="scores.example").status == 200
    assert client.get("/healthz", Host="other.example").status == 403


SENT_BY_OTHER_PAGES = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "http://localhost.evil.example:6066"},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
    {"Sec_Fetch_Site": "cross-site", "Origin": "http://localhost:6066"},
]
NOT_SENT_BY_OTHER_PAGES: list[dict[str, str]] = [
    {},
    {"Origin": "http://localhost:6066"},
    {"Origin": "https://localhost:6066"},
    {"Sec_Fetch_Site": "none"},
    {"Sec_Fetch_Site": "same-origin", "Origin": "https://scores.example"},  # behind a proxy that rewrites Host
]
CHANGING = [
    "/rules/x/remove",
    "/breakers/x/close",
    "/score-requests/x/cancel",
    "/dead-letters/dismiss",
    "/internal/backup",
    "/internal/query",
    "/file/create",
    "/calls/score",
]


@pytest.mark.parametrize("path", CHANGING)
@pytest.mark.parametrize("sent", SENT_BY_OTHER_PAGES)
def test_no_page_of_another_site_can_change_anything(client: Client, path: str, sent: dict[str, str]) -> None:
    answer = client.post(path, b"x", Host="localhost:6066", Content_Type="text/plain", **sent)
    assert answer.status == 403
    assert "Pages of other sites may change nothing here" in answer.raw.decode()


@pytest.mark.parametrize("sent", SENT_BY_OTHER_PAGES)
def test_with_keys_no_page_of_another_site_can_change_anything_by_a_password_that_the_browser_knows(
    tmp_path: Path, sent: dict[str, str]
) -> None:
    key = add_key(tmp_path / "keys", "ann", ["*"])
    with running(keys=KeyFile(tmp_path / "keys")) as client:
        known = {"Host": "scores.example", "Authorization": f"Bearer {key}"}
        assert client.post("/dead-letters/dismiss", {}, **known, **sent).status == 403
        assert client.post("/dead-letters/dismiss", {}, **known).status == 503  # there are no tables here


@pytest.mark.parametrize("sent", NOT_SENT_BY_OTHER_PAGES)
def test_its_own_pages_and_what_is_no_browser_can_change_things(client: Client, sent: dict[str, str]) -> None:
    assert client.post("/dead-letters/dismiss", {}, Host="localhost:6066", **sent).status == 503


@pytest.mark.parametrize("sent", SENT_BY_OTHER_PAGES)
def test_a_link_on_another_site_leads_to_the_dashboard(client: Client, sent: dict[str, str]) -> None:
    assert client.get("/", Host="localhost:6066", **sent).status == 200
