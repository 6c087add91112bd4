"""A worker needs more open files than some shells allow: it raises its limit, or says what is needed."""

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.service import Service, complete_call, until

FEW = "ulimit {} && exec {} worker"


@pytest.fixture
def limited(tmp_path: Path) -> Callable[[str], Service]:
    def make(limit: str) -> Service:
        service = Service(tmp_path / "data", partitions=8)
        service.command = ("sh", "-c", FEW.format(limit, Service.command[0]))
        return service

    return make


def open_files(service: Service) -> int:
    return len(list(Path(f"/proc/{service.pid}/fd").iterdir()))


def test_a_worker_starts_where_the_shell_allows_few_files(limited: Callable[[str], Service]) -> None:
    service = limited("-Sn 256")  # the limit of a shell on macOS, as the soft one, which a process may raise
    try:
        service.start()
        assert open_files(service) > 256
    finally:
        service.kill()


def test_a_worker_that_may_not_open_enough_files_says_how_many_it_needs(limited: Callable[[str], Service]) -> None:
    service = limited("-n 256")
    service.spawn()
    assert service.wait_ended() == 2
    [line] = [line for line in service.log().splitlines() if line.startswith("Error")]
    assert line.startswith("Error: this process may have 256 files open, and needs 820 to begin with for its tables")
    assert "Traceback" not in service.log()


def test_however_many_connections_clients_open_the_log_and_the_tables_can_open_files(
    limited: Callable[[str], Service],
) -> None:
    service = limited("-n 1000")
    with ExitStack() as flood:
        try:
            service.start()
            known = HTTPConnection("127.0.0.1", service.port, timeout=60)
            known.connect()
            for _ in range(500):
                flood.enter_context(socket.create_connection(("127.0.0.1", service.port)))
            until(lambda: "new connections are refused" in service.log())
            until(lambda: open_files(service) < 1000 - 64)  # once those that came together are closed
            body = json.dumps({"batch": [complete_call("acme/flood", {"id": "c", "output": "x"})]})
            known.request("POST", "/v2/acme/flood/calls/complete", body, {"Content-Type": "application/json"})
            assert known.getresponse().status == 200
            flood.close()
            until(lambda: open_files(service) < 900)
            assert service.items("/calls?project_id=acme/flood")
        finally:
            service.kill()
