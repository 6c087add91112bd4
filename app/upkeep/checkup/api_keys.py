"""The file of API keys."""

import stat
from collections.abc import Iterator

from app.keys import KeyFile, KeyFileError
from app.settings import Settings
from app.upkeep.checkup.finding import Finding, ok, warning, wrong

_KEYS = "API keys"
_OF_OTHERS = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP


def findings(settings: Settings) -> Iterator[Finding]:
    """Whether it can be read, and by whom else."""
    path = settings.api_keys
    if path is None:
        yield ok(_KEYS, "None are asked for: anyone on this machine may call the service, and no other machine can.")
        return
    try:
        KeyFile(path)
    except KeyFileError as error:
        yield wrong(_KEYS, error)
        return
    if path.stat().st_mode & _OF_OTHERS:
        yield warning(_KEYS, f"{path} is open to other users of this machine: close it with chmod 600 {path}.")
    else:
        yield ok(_KEYS, f"{path} can be read, and not by others.")
