"""A worker that is told to stop: who asks it meanwhile is told so, and nobody holds it up."""

import itertools
import threading
import time
from collections.abc import Callable
from http.client import HTTPException

from tests.brokers import embedded_only, on_both_logs
from tests.service import Answer, Service, until

pytestmark = on_both_logs

STOP_SECONDS = 8.0  # it takes less than one; whoever waited until it gives up waited for 20
AT_ONCE = 4


class Asking:
    """Clients that ask the same again and again until nobody listens, and what they were answered."""

    def __init__(self, ask: Callable[[int], Answer]) -> None:
        self.answers: list[Answer] = []
        self._ask = ask
        self._numbers = itertools.count()
        self._threads = [threading.Thread(target=self._run) for _ in range(AT_ONCE)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        try:
            while True:
                self.answers.append(self._ask(next(self._numbers)))
        except (OSError, HTTPException):
            return

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


def test_while_a_worker_stops_it_says_so_with_503_and_nobody_who_waits_holds_it_up(service: Service) -> None:
    def publish(number: int) -> Answer:
        body = {"name": f"says_{number}", "kind": "contains", "params": {"text": "7"}}
        return service.post("/scorers", body)

    asking = {
        "publish": Asking(publish),
        "letters": Asking(lambda _: service.get("/dead-letters?project_id=acme/stopping")),
        "ready": Asking(lambda _: service.get("/readyz")),
    }
    until(lambda: min(len(one.answers) for one in asking.values()), lambda fewest: fewest > AT_ONCE, 60)
    since = time.monotonic()
    assert service.stop() == 0
    took = time.monotonic() - since
    for one in asking.values():
        one.join()
    print(f"{took:.2f} s", {name: len(one.answers) for name, one in asking.items()})
    assert took < STOP_SECONDS
    for name, one in asking.items():
        refused = [answer for answer in one.answers if answer.status >= 300]
        assert {answer.status for answer in refused} == {503}, name
        assert all("Retry-After" in answer.headers for answer in refused)
        assert any(b"this worker is stopping" in answer.raw for answer in refused), name
    assert "Traceback" not in service.log()


@embedded_only
def test_a_stop_closes_the_log_so_that_the_next_start_has_nothing_to_read_back(service: Service) -> None:
    service.log_calls("acme/stopping", ["call-1"])
    assert write_ahead_bytes(service) > 0
    assert service.stop() == 0
    assert write_ahead_bytes(service) == 0


def write_ahead_bytes(service: Service) -> int:
    return sum(path.stat().st_size for path in (service.data_dir / "log").glob("*.log"))
