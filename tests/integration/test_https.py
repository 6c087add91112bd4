"""Judges and remote scorers are asked over https, and only where the certificate that they show is trusted."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from tests.brokers import embedded_only
from tests.certificate import Certificate
from tests.endpoint import Endpoint
from tests.judge import Judge
from tests.judging import PROJECT, Judging, judged, publish, scores
from tests.on_thread import OnThread
from tests.service import Service

ServerT = TypeVar("ServerT", bound=OnThread)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    try:
        return Certificate(tmp_path_factory.mktemp("certificate"))
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no certificate can be made here: {error}")


@pytest.fixture
def judge(certificate: Certificate) -> Iterator[Judge]:
    yield from serving(Judge(), certificate)


@pytest.fixture
def endpoint(certificate: Certificate) -> Iterator[Endpoint]:
    yield from serving(Endpoint(), certificate)


def serving(server: ServerT, certificate: Certificate) -> Iterator[ServerT]:
    server.tls = certificate.server()
    yield server.start()
    server.stop()


@pytest.fixture
def start(judging: Judging, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path | None], Service]:
    """Starts a service that trusts the certificates of a file, or those of the system."""

    def start(trusted: Path | None) -> Service:
        if trusted is not None:
            monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        return judging.start(scorer_attempts=1, remote_private_hosts=f"127.0.0.1:{endpoint.port}")

    return start


def publish_both(service: Service, endpoint: Endpoint) -> list[str]:
    body = {"name": "remote", "kind": "remote", "params": {"endpoint_url": endpoint.url}, "project_id": PROJECT}
    return [publish(service), str(service.post("/scorers", body).json["ref"])]


@embedded_only
def test_who_shows_a_certificate_that_the_service_is_told_to_trust_is_asked_over_https(
    start: Callable[[Path | None], Service], certificate: Certificate, judge: Judge, endpoint: Endpoint
) -> None:
    service = start(certificate.path)
    assert judged(service, ["one"], *publish_both(service, endpoint))["tasks"]["succeeded"] == 2
    assert len(judge.bodies) == len(endpoint.seen) == 1


@embedded_only
def test_who_shows_another_certificate_is_sent_nothing(
    start: Callable[[Path | None], Service], judge: Judge, endpoint: Endpoint
) -> None:
    service = start(None)
    refs = publish_both(service, endpoint)
    assert judged(service, ["one"], *refs)["tasks"]["failed"] == 2
    for score in scores(service):
        assert score["error"]["type"] == "provider_unreachable"
        # OpenSSL has written it with and without a hyphen.
        assert re.search("its certificate is not accepted: self.signed certificate", score["error"]["message"])
    assert (judge.bodies, endpoint.seen) == ([], [])
