"""Running async scorers in hosts: processes beside the service, one for the scorers of each package.

They never run on the service's own event loop: one that computes, blocks or crashes only affects its package's scorers.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from app.scorers.bound import BoundScorer
from app.scorers.errors import ScorerDied
from app.scorers.host_process import HostedRun, HostProcess, OnRequest
from app.scorers.report import OnOutcome, Report


class Hosts:
    """Runs async scorers. It belongs to the event loop that it is used on."""

    def __init__(self) -> None:
        self._of: dict[str, HostProcess] = {}
        self._lives: set[asyncio.Task[None]] = set()
        self._unloadable: set[str] = set()  # refs that the last host which tried could not load
        self.closed = False

    def ready(self, bound: BoundScorer, when: Callable[[], None]) -> bool:
        """Whether a run would start at once: limits count from then on, and runs that wait would start all together.

        If not, its host is made ready, and `when` is called when it is worth asking again. A scorer that cannot be
        loaded counts as ready: its runs fail with the reason.
        """
        return bound.ref in self._unloadable or self.closed or self._host_of(bound).ready(bound, when)

    def begin(
        self,
        bound: BoundScorer,
        arguments: dict[str, Any],
        report: Report,
        on_outcome: OnOutcome,
        on_request: OnRequest | None = None,
    ) -> HostedRun:
        """Start a run, whose report is copied into `report`.

        `on_outcome` gets the outcome, unless the run is cancelled. Raises ScorerDied if the hosts are closed, and what
        `on_request` raises.
        """
        if self.closed:
            raise ScorerDied("The service stops.")
        return self._host_of(bound).begin(bound, arguments, report, on_outcome, on_request)

    def flush(self) -> None:
        """Send messages now that would be sent at the end of this turn."""
        for host in self._of.values():
            host.channel.flush()

    async def close(self) -> None:
        """End all hosts for good; their runs fail."""
        self.closed = True
        for host in list(self._of.values()):
            host.close()
        if self._lives:
            await asyncio.wait(self._lives)

    def _host_of(self, bound: BoundScorer) -> HostProcess:
        package = bound.package
        host = self._of.get(package)
        if host is None or host.channel.lost.done():  # then `_forget` is about to be called
            host = self._of[package] = HostProcess(lambda ended: self._forget(package, ended))
            self._lives.add(host.life)
            host.life.add_done_callback(self._lives.discard)
        return host

    def _forget(self, package: str, host: HostProcess) -> None:
        self._unloadable = host.unloadable(self._unloadable)
        if self._of.get(package) is host:
            del self._of[package]
