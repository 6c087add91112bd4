"""callscore up and callscore worker"""

import errno
import gc
import os
import signal
import subprocess
import sys

import click

from app import ports
from app.client.errors import BadInput, CommandError
from app.commands.settings import checked_settings
from app.keys import KeyFileError
from app.settings import Settings, SettingsError, unknown_variables


@click.command()
@click.option("--sample", is_flag=True, help="Also score the bundled sample calls and show the result.")
def up(sample: bool) -> int:
    """Run the whole service in one process, on the embedded log."""
    _exit_when_asked()
    settings = checked_settings()
    if not settings.embedded:
        raise BadInput(
            "callscore up runs on the embedded log only, but CALLSCORE_BROKER names Kafka. "
            "Unset it, or start a worker with: callscore worker"
        )
    return _run(settings, sample)


@click.command()
def worker() -> int:
    """Run one worker in this process, on the broker that CALLSCORE_BROKER names."""
    _exit_when_asked()
    return _run(checked_settings(), sample=False)


def _exit_when_asked() -> None:
    """Exit with 0 on a signal to stop, until Faust's worker handles it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit())


def _run(settings: Settings, sample: bool) -> int:
    _check_port(settings)
    _greet(settings)
    if sample and settings.api_keys is not None and not os.environ.get("CALLSCORE_API_KEY"):
        click.echo("Skipping the sample: it needs an API key in CALLSCORE_API_KEY.")
        sys.stdout.flush()
        sample = False
    child = _start_sample(settings) if sample else None
    gc.set_threshold(200_000)  # what imports make stays: looking for garbage in it is a tenth of the start
    try:
        from app.worker import run  # which makes the app from the settings, so they are checked before

        return run()
    except (SettingsError, KeyFileError) as error:
        raise BadInput(str(error)) from None
    finally:
        if child is not None:
            _stop(child)


def _check_port(settings: Settings) -> None:
    """Fail at once rather than after the tables are recovered."""
    try:
        ports.check(settings.web_host, settings.web_port)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is in use, perhaps by another callscore" if taken else f"cannot be used ({error.strerror})"
        raise CommandError(
            f"Port {settings.web_port} of {settings.web_host} {why}. "
            "Choose another with CALLSCORE_WEB_HOST and CALLSCORE_WEB_PORT."
        ) from None


def _greet(settings: Settings) -> None:
    lines = [
        f"Starting callscore at {settings.local_url}. Press Ctrl-C to stop it.",
        f"Data: {settings.data_dir.absolute()}" + ("" if settings.embedded else f", log: {settings.broker}"),
    ]
    if settings.api_keys is None:
        lines.append(
            "CALLSCORE_API_KEYS is not set: anyone on this machine can use the service, other machines cannot."
        )
    lines.extend(
        f"The provider {name} is used without {what} until {variable} is set."
        for name, what, variable in settings.unset_keys
    )
    lines.extend(
        f"{name} is not a setting and is ignored. Did you mean {similar}?"
        for name, similar in unknown_variables(settings, os.environ).items()
    )
    for line in lines:
        click.echo(line)
    sys.stdout.flush()


def _start_sample(settings: Settings) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this program itself
        [sys.executable, "-m", "app.cli", "sample", "--url", settings.local_url],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
