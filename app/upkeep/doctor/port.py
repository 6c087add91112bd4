"""The port that a service with these settings listens on."""

import errno
from collections.abc import Iterator

from app import ports
from app.settings import Settings
from app.upkeep.doctor.data_dir import holders
from app.upkeep.doctor.finding import Finding, ok, wrong

_SUBJECT = "port"


def findings(settings: Settings) -> Iterator[Finding]:
    """Check that the port is free, or that a worker with this data folder may have it."""
    port = f"{settings.web_port} of {settings.web_host}"
    try:
        ports.check(settings.web_host, settings.web_port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            yield wrong(_SUBJECT, f"{port} cannot be used ({error.strerror}). Set CALLSCORE_WEB_HOST or another port")
        elif not holders(settings.data_dir):
            yield wrong(
                _SUBJECT,
                f"{port} is in use, but no worker has this data folder: perhaps a callscore with another one has the "
                "port. Check CALLSCORE_DATA_DIR, or choose another CALLSCORE_WEB_PORT",
            )
        return
    yield ok(_SUBJECT, f"{port} is free.")
