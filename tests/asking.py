"""What tests of a service that asks a provider share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.provider import Provider
from tests.service import Service, attempts

PROJECT = "acme/asking"
TASK_FIELDS = {
    "task_id",
    "call_id",
    "scorer_ref",
    "status",
    "since",
    "round",
    "attempts",
    "next_at",
    "reason",
    "worker",
    "position",
}


class Asking:
    """A service, and the provider that its scorers ask. What is given are settings of the service."""

    def __init__(self, make: Callable[..., Service], provider: Provider, folder: Path) -> None:
        self._make = make
        self._folder = folder
        self.provider = provider

    def start(self, limits: dict[str, float] | None = None, timeout: float = 20, **settings: object) -> Service:
        """Start the service; its provider has these limits, and so many seconds for an answer."""
        return self.make(limits, timeout, **settings).start()

    def make(self, limits: dict[str, float] | None = None, timeout: float = 20, **settings: object) -> Service:
        """As `start`, without starting it."""
        file = self.provider.file(self._folder / "providers.toml", **(limits or {}))
        service = self._make(scorers="tests.provider_scorers,tests.plugin_scorers", providers=file, **settings)
        service.extra_environment = {"PROVIDER_TIMEOUT": str(timeout)}
        return service


def log_calls(service: Service, number: int, prefix: str = "call") -> list[str]:
    """Log so many calls; returns their ids."""
    ids = [f"{prefix}-{n}" for n in range(number)]
    service.log_calls(PROJECT, ids)
    return ids


def ask(service: Service, number: int, *scorers: str, prefix: str = "call") -> str:
    """Log calls and have each judged; returns the request's id."""
    return service.submit(PROJECT, log_calls(service, number, prefix), service.refs(*(scorers or ("asks",))))


def tasks(service: Service, request_id: str, status: str = "") -> list[Any]:
    """The tasks of a request, or those in one state."""
    return service.items(f"/score-requests/{request_id}/tasks?limit=1000" + (f"&status={status}" if status else ""))


def wait_for(service: Service, request_id: str, status: str, number: int = 1, seconds: float = 30) -> list[Any]:
    """Wait until so many tasks of a request are in a state; returns them."""
    found: list[Any] = []
    for _ in attempts(seconds):
        found = tasks(service, request_id, status)
        if len(found) >= number:
            return found
    raise AssertionError(f"{len(found)} are {status}: {service.status(request_id)['tasks']}\n{service.log()}")
