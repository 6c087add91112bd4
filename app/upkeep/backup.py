"""Copying the embedded log: here if it is not in use, otherwise in the service."""

import asyncio
import errno
import shutil
from pathlib import Path

from app.client.errors import CommandError
from app.client.http import Client, Service
from app.embedded.backup import checkpoint_of, checkpoint_place
from app.embedded.errors import LogLocked, LogNotEmpty
from app.fsync import fsync
from app.settings import get_settings
from app.upkeep import paths
from app.upkeep.errors import as_command_errors

PATH = "/internal/backup"


def back_up(directory: Path, service: Service) -> None:
    """Make `directory` a copy of the log as it is at one moment. If the log is in use, `service` makes the copy.

    Raises:
        CommandError: the copy cannot be made.
        BadInput: the directory exists.
        OSError: the directory cannot be written.
    """
    with as_command_errors():
        log = paths.log_path(get_settings())
        if directory.exists():
            raise LogNotEmpty(directory)
        made = checkpoint_place(log)
        try:
            checkpoint_of(log, made)
        except LogLocked:
            shutil.rmtree(made, ignore_errors=True)  # left by a backup that was interrupted
            asyncio.run(_ask(service))
            _check_made(log, made, service)
        _move(made, directory)


async def _ask(service: Service) -> None:
    async with Client(service) as client:
        await client.post(PATH, b"{}")


def _check_made(log: Path, made: Path, service: Service) -> None:
    if not made.exists():
        raise CommandError(
            f"The log at {log} is in use by another process than the service at {service.url}. "
            "Check --url and CALLSCORE_DATA_DIR."
        )


def _move(made: Path, directory: Path) -> None:
    """Move the copy, file by file to another file system; `directory` appears only when it is complete."""
    directory = directory.absolute()
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        made.rename(directory)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        partial = directory.with_name(f"{directory.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(made, partial)
        for path in (*partial.iterdir(), partial):
            fsync(path)
        partial.rename(directory)
        shutil.rmtree(made)
    fsync(directory.parent)
