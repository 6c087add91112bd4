"""All that is looked at, in the order in which a service needs it. Nothing is changed, and no folder or topic made."""

import os
import sys
from collections.abc import Callable, Iterator

from app.client.http import Service
from app.settings import Settings, SettingsError, get_settings, misspelt
from app.upkeep.checkup import answering
from app.upkeep.checkup.finding import Finding, ok, warning, wrong

_PYTHON = (3, 11)  # as pyproject.toml says

Check = Callable[[Settings], Iterator[Finding]]


def findings(service: Service) -> Iterator[Finding]:
    """What there is to say of this machine, the settings, and the service that answers or is to answer."""
    yield _python()
    try:
        settings = get_settings()
    except SettingsError as error:
        yield wrong("settings", error)
        yield from answering.findings(service)
        return
    yield from _settings(settings)
    try:
        checks = _checks()
    except SettingsError as error:  # a certificate of Kafka's, which is read when the app is made
        yield wrong("settings", error)
        checks = {}
    for about, check in checks.items():
        try:
            yield from check(settings)
        except OSError as error:
            yield wrong(about, f"{error.filename or 'The system'}: {error.strerror or error}")
    yield from answering.findings(service)


def _checks() -> dict[str, Check]:
    """The checks that need good settings, since they import what is made of them. Raises SettingsError."""
    from app.upkeep.checkup import api_keys, log, place, scorers

    return {
        "data folder": place.findings,
        "log": log.findings,
        "open files": place.open_files,
        "scorers": scorers.findings,
        "providers": scorers.providers,
        "API keys": api_keys.findings,
    }


def _python() -> Finding:
    has = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _PYTHON:
        return wrong("Python", f"This is {has}, and callscore needs {'.'.join(map(str, _PYTHON))} or newer")
    return ok("Python", f"{has}.")


def _settings(settings: Settings) -> Iterator[Finding]:
    keys = {provider.key for provider in settings.providers.values()}
    ignored = {name: meant for name, meant in misspelt(os.environ).items() if name not in keys}
    for name, meant in ignored.items():
        yield warning("settings", f"{name} is no setting, so it is ignored: do you mean {meant}?")
    if not ignored:
        yield ok("settings", "They can be used.")
