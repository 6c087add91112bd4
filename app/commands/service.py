"""callscore up and callscore worker"""

import asyncio
import errno
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from app.client.errors import BadInput, CommandError
from app.commands.service_options import service_options
from app.commands.settings import checked_settings
from app.urls import url_of

if TYPE_CHECKING:
    from app.client.http import Service
    from app.settings import Settings


@click.command()
@click.option("--sample", is_flag=True, help="Also score the sample that comes with callscore, and show the result.")
def up(sample: bool) -> int:
    """Run the whole service in this process, on the embedded log."""
    settings = checked_settings()
    if not settings.embedded:
        raise BadInput(
            "CALLSCORE_BROKER names Kafka, and this command runs on the embedded log: "
            "unset it, or start a worker with: callscore worker"
        )
    return _run(settings, sample)


@click.command("sample", hidden=True)
@service_options
def score_sample(service: "Service") -> int:
    """Score the sample that comes with callscore, at a service that runs or is about to."""
    from app.client import sample as client_sample

    return asyncio.run(client_sample.score_sample(service))


@click.command(short_help="Run one worker in this process.")
def worker() -> int:
    """Run one worker in this process, on whichever broker CALLSCORE_BROKER names."""
    return _run(checked_settings(), sample=False)


def _run(settings: "Settings", sample: bool) -> int:
    from app.keys import KeyFileError
    from app.settings import SettingsError

    _check_port(settings)
    _greet(settings)
    if sample and settings.api_keys is not None and not os.environ.get("CALLSCORE_API_KEY"):
        click.echo("The sample is skipped, since it needs a key in CALLSCORE_API_KEY; the service comes up without it.")
        sys.stdout.flush()
        sample = False
    child = _start_sample(settings) if sample else None
    try:
        from app.worker import run

        return run()
    except (SettingsError, KeyFileError) as error:
        raise BadInput(str(error)) from None
    finally:
        if child is not None:
            _stop(child)


def _check_port(settings: "Settings") -> None:
    """A clear word now, before the tables are opened and recovered."""
    family = socket.AF_INET6 if ":" in settings.web_host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.web_host, settings.web_port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is taken, perhaps by callscore itself" if taken else f"cannot be used ({error.strerror})"
            raise CommandError(
                f"{settings.web_host} port {settings.web_port} {why}; "
                "choose another with CALLSCORE_WEB_HOST and CALLSCORE_WEB_PORT."
            ) from None


def _greet(settings: "Settings") -> None:
    from app.settings import misspelt

    lines = [
        f"callscore answers at {_url(settings)} as soon as it is ready; Ctrl-C stops it.",
        f"Data: {settings.data_dir.absolute()}" + ("" if settings.embedded else f", log: {settings.broker}"),
    ]
    if settings.api_keys is None:
        lines.append("Without CALLSCORE_API_KEYS anyone on this machine may call it; no other machine can.")
    lines.extend(
        f"The key of provider {name} is not set: until the variable is set that `key` names, it is asked without one."
        for name, provider in settings.providers.items()
        if provider.key is not None and provider.api_key is None
    )
    keys = {provider.key for provider in settings.providers.values()}
    lines.extend(
        f"{name} is no setting, so it is ignored: do you mean {meant}?"
        for name, meant in misspelt(os.environ).items()
        if name not in keys
    )
    for line in lines:
        click.echo(line)
    sys.stdout.flush()


def _url(settings: "Settings") -> str:
    anywhere = settings.web_host in ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
    return url_of("127.0.0.1" if anywhere else settings.web_host, settings.web_port)


def _start_sample(settings: "Settings") -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-m", "app.cli", "sample", "--url", _url(settings)],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def _stop(child: "subprocess.Popen[bytes]") -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
