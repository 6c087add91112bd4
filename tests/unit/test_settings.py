"""Settings that cannot work are refused in one sentence that names them, and those that are taken do work."""

import logging
from pathlib import Path

import pytest
from faust.transport.drivers.aiokafka import server_list
from faust.utils.urls import urllist

from app.faust_app import create_app
from app.settings import Settings, SettingsError, get_settings


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"BROKER": "kafka://"}, "BROKER='kafka://': '' is no server"),
        ({"BROKER": "kafka://localhost:abc"}, "BROKER='kafka://localhost:abc': 'localhost:abc' is no server"),
        ({"BROKER": "kafka://localhost:65536"}, "BROKER='kafka://localhost:65536': 'localhost:65536' is no server"),
        ({"BROKER": "kafka://a:1,::1"}, "BROKER='kafka://a:1,::1': '::1' is no server"),
        ({"BROKER": "kafka://a,kafka://b"}, "BROKER='kafka://a,kafka://b': 'kafka://b' is no server"),
        ({"BROKER": "embedded://log"}, "BROKER='embedded://log': must name an absolute path"),
        ({"BROKER": "embedded:/log"}, "BROKER='embedded:/log': must start with embedded://"),
        ({"WEB_HOST": "[::1]"}, "WEB_HOST='[::1]': must be a host name or address"),
        ({"DAY_START": "00:00+02:00"}, "DAY_START='00:00+02:00': must be HH:MM in UTC"),
        ({"WEB_HOST": "a..b"}, "WEB_HOST='a..b': must be a host name or address"),
        (
            {"BROKER": "kafka://a", "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_USERNAME": "me"},
            "KAFKA_SECURITY_PROTOCOL=SASL_SSL needs CALLSCORE_KAFKA_SASL_USERNAME and CALLSCORE_KAFKA_SASL_PASSWORD",
        ),
    ],
)
def test_what_cannot_be_used_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], named: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"CALLSCORE_{name}", value)
    with pytest.raises(SettingsError) as refused:
        get_settings.__wrapped__()
    assert str(refused.value).startswith(f"CALLSCORE_{named}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("named", "servers"),
    [
        ("kafka://localhost", ["localhost:9092"]),
        ("kafka://a_1:9093,b.c.;d:1/", ["a_1:9093", "b.c.:9092", "d:1"]),
        ("kafka://[::1]", ["[::1]:9092"]),
        ("kafka://[::1]:9093,127.0.0.1", ["[::1]:9093", "127.0.0.1:9092"]),
    ],
)
def test_faust_reaches_the_servers_that_we_do(named: str, servers: list[str]) -> None:
    settings = Settings(broker=named)
    assert settings.kafka_servers == servers
    assert server_list(urllist(settings.broker_url), 9092) == servers


def test_the_log_output_has_no_password_of_kafka_even_at_debug() -> None:
    create_app(Settings(broker="kafka://a", log_level="DEBUG"))
    assert not logging.getLogger("aiokafka.conn").isEnabledFor(logging.DEBUG)


def test_an_ipv6_address_has_brackets_in_a_url() -> None:
    assert Settings(web_host="::1", web_port=80).url == "http://[::1]:80"


PATHS = ["/a/b", "/a,b;c", "/a#b?c=d", "/%41 %", "/a/../b", "/{a}", "/é"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("named", [False, True], ids=["data_dir", "broker"])
def test_the_embedded_log_lies_where_the_setting_says_whatever_is_in_it(path: str, named: bool) -> None:
    settings = Settings(broker=f"embedded://{path}") if named else Settings(data_dir=Path(path))
    assert settings.log_path == (Path(path) if named else Path(path) / "log")
    [url] = urllist(settings.broker_url)
    assert Path(url.path) == settings.log_path


def test_a_worker_that_those_on_other_machines_cannot_reach_is_refused() -> None:
    with pytest.raises(SettingsError, match="CALLSCORE_ADVERTISED_URL"):
        Settings(broker="kafka://127.0.0.1,a").check_reachable()
    for reachable in (
        Settings(),
        Settings(broker="kafka://[::1],127.0.0.1:1,LOCALHOST"),
        Settings(broker="kafka://a", advertised_url="http://127.0.0.1:6066"),
        Settings(broker="kafka://a", web_host="10.0.0.1", api_keys=Path(__file__), cluster_secret="x"),
    ):
        reachable.check_reachable()
