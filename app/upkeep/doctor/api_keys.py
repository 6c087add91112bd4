"""The file of API keys."""

import stat
from collections.abc import Iterator

from app.keys import KeyFile, KeyFileError
from app.settings import Settings
from app.upkeep.doctor.finding import Finding, ok, warning, wrong

_SUBJECT = "API keys"
_OPEN_TO_OTHERS = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP


def findings(settings: Settings) -> Iterator[Finding]:
    """Check that the file can be read, and only by its owner."""
    path = settings.api_keys
    if path is None:
        yield ok(_SUBJECT, "Not required: anyone on this machine can use the service, other machines cannot.")
        return
    try:
        KeyFile(path)
    except KeyFileError as error:
        yield wrong(_SUBJECT, error)
        return
    if path.stat().st_mode & _OPEN_TO_OTHERS:
        yield warning(_SUBJECT, f"{path} is open to other users of this machine. Run: chmod 600 {path}")
    else:
        yield ok(_SUBJECT, f"{path} is readable, and only by its owner.")
