"""All checks of `callscore doctor`, in the order in which a service needs their subjects. They change nothing."""

import os
import sys
from collections.abc import Callable, Iterator

from app.client.http import Service
from app.settings import Settings, SettingsError, get_settings, unknown_variables
from app.upkeep.doctor import service as running_service
from app.upkeep.doctor.finding import Finding, ok, warning, wrong

_PYTHON = (3, 11)  # as pyproject.toml says

Check = Callable[[Settings], Iterator[Finding]]


def findings(service: Service) -> Iterator[Finding]:
    """Check this machine, the settings, and the service at its URL."""
    yield _python()
    try:
        settings = get_settings()
    except SettingsError as error:
        yield wrong("settings", error)
        yield from running_service.findings(service)
        return
    yield from _settings(settings)
    try:
        checks = _checks()
    except SettingsError as error:  # such as a certificate for Kafka, which is read when the app is made
        yield wrong("settings", error)
        checks = {}
    for subject, check in checks.items():
        try:
            yield from check(settings)
        except OSError as error:
            yield wrong(subject, f"{error.filename or 'The system'}: {error.strerror or error}")
    yield from running_service.findings(service)


def _checks() -> dict[str, Check]:
    """The checks whose modules can be imported only with valid settings. Raises SettingsError."""
    from app.upkeep.doctor import api_keys, data_dir, log, port, scorers

    return {
        "data folder": data_dir.findings,
        "port": port.findings,
        "log": log.findings,
        "open files": data_dir.open_files,
        "scorers": scorers.findings,
        "providers": scorers.providers,
        "API keys": api_keys.findings,
    }


def _python() -> Finding:
    has = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _PYTHON:
        return wrong("Python", f"This is {has}, but callscore requires {'.'.join(map(str, _PYTHON))} or newer")
    return ok("Python", f"{has}.")


def _settings(settings: Settings) -> Iterator[Finding]:
    unknown = unknown_variables(settings, os.environ)
    for name, similar in unknown.items():
        yield warning("settings", f"{name} is not a setting and is ignored. Did you mean {similar}?")
    try:
        settings.check_reachable()
    except SettingsError as error:
        yield wrong("settings", error)
        return
    if not unknown:
        yield ok("settings", "Valid.")
