"""One open log for each path: Faust builds a transport for the consumer and another for the producer."""

import logging
from pathlib import Path
from typing import Any

from mode import Service

from .errors import LogClosed, LogFailed
from .log import Log

logger = logging.getLogger(__name__)

_open: dict[Path, tuple[Log, int]] = {}


def acquire(path: Path) -> Log:
    """Return the open log at `path`, opening it if this is its first user; pair with `release`.

    Raises:
        LogLocked, LogUnavailable, LogFormatMismatch, LogBlockCorrupt, LogUnreadable: it cannot be opened.
    """
    path = path.absolute()
    log, users = _open[path] if path in _open else (Log(path), 0)
    _open[path] = (log, users + 1)
    return log


async def release(log: Log) -> None:
    """Close the log if this was its last user."""
    _, users = _open[log.path]
    if users > 1:
        _open[log.path] = (log, users - 1)
        return
    del _open[log.path]
    try:
        await log.close()
    except LogFailed as error:
        logger.error("the log could not be closed, so only what was acknowledged is sure to be in it: %s", error)


class UsesLog(Service):
    """A consumer or producer, which holds the log at the path of its transport from its start to its shutdown."""

    transport: Any
    _embedded: Log | None = None

    @property
    def embedded(self) -> Log:
        """The open log. Raises LogClosed unless this is started."""
        if self._embedded is None:
            raise LogClosed(self.transport.path)
        return self._embedded

    async def on_start(self) -> None:
        """Open the log. Raises as `acquire`."""
        self._embedded = acquire(self.transport.path)
        await super().on_start()

    async def on_shutdown(self) -> None:
        """Release the log."""
        await super().on_shutdown()
        log, self._embedded = self._embedded, None
        if log is not None:
            await release(log)


class Held(Service):
    """Holds a log that was acquired before Faust starts, until all services that start after this one have stopped."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    async def on_shutdown(self) -> None:
        """Release the log, which closes it."""
        await release(self._log)
