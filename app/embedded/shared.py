"""One open log for each path: Faust builds a transport for the consumer and another for the producer."""

from pathlib import Path

from .log import Log

_open: dict[Path, tuple[Log, int]] = {}


def acquire(path: Path) -> Log:
    """Return the open log at `path`, opening it if this is its first user; pair with `release`.

    Raises:
        LogLocked, LogUnavailable, LogFormatMismatch: it cannot be opened.
    """
    path = path.absolute()
    log, users = _open[path] if path in _open else (Log(path), 0)
    _open[path] = (log, users + 1)
    return log


async def release(log: Log) -> None:
    """Close the log if this was its last user. Raises LogFailed if what was appended last could not be written."""
    _, users = _open[log.path]
    if users > 1:
        _open[log.path] = (log, users - 1)
        return
    del _open[log.path]
    await log.close()
