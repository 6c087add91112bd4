"""Rebuilding all tables from the primary topics, and comparing them with those of a service."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from app.client.errors import BadInput, CommandError
from app.client.http import Service
from app.embedded.errors import LogLocked
from app.settings import get_settings
from app.upkeep import broker, rebuild, stores, table_copies
from app.upkeep.rebuild import Applied
from app.upkeep.stores import Compared


class Replayed(NamedTuple):
    """What was applied, and the number of rows of each table."""

    applied: Applied
    rows: dict[str, int]


class Verified(NamedTuple):
    """What was applied, the result of the comparison, and whether it was with a running service."""

    applied: Applied
    compared: Compared
    running: bool


def replay(directory: Path, as_of: float | None = None) -> Replayed:
    """Rebuild all tables in `directory`, which must be empty, from the log of the settings, which may be in use.

    With `as_of` (Unix seconds), only from the records up to then.

    Raises:
        CommandError: the log cannot be read, or the directory is not empty.
        OSError: the directory cannot be written.
    """
    if directory.exists() and any(directory.iterdir()):
        raise BadInput(f"{directory} is not empty: choose a new directory.")
    tables = directory / "tables"
    tables.mkdir(parents=True)
    with broker.as_command_errors():
        applied = asyncio.run(_replay(tables, as_of))
    return Replayed(applied, stores.count(tables))


async def _replay(tables: Path, as_of: float | None) -> Applied:
    async with broker.source(get_settings(), alone=False) as log:
        return await rebuild.apply(log, tables, as_of=as_of)


def verify(service: Service) -> Verified:
    """Rebuild all tables and compare them with those of the service, running or stopped.

    Raises:
        CommandError: the log or the tables cannot be read, or partitions are moving.
        OSError: the data directory cannot be written.
    """
    settings = get_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    # On the file system of the tables, so that files can be linked.
    directory = Path(tempfile.mkdtemp(prefix="replay-", dir=settings.data_dir))
    try:
        with broker.as_command_errors(), stores.damage_as_command_error():
            return asyncio.run(_verify(directory, service))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _verify(directory: Path, service: Service) -> Verified:
    settings = get_settings()
    ours, theirs = directory / "rebuilt", directory / "kept"
    ends = await table_copies.copy_running(settings, service, theirs)
    if ends is not None:
        async with broker.source(settings, alone=False) as log:
            applied = await rebuild.apply(log, ours, end=ends)
    else:
        try:
            async with broker.source(settings) as log:
                table_copies.copy_stopped(settings, theirs)
                # What was not committed is delivered again at the next start, so it is applied here too.
                await rebuild.apply(log, theirs, start=await log.committed())
                applied = await rebuild.apply(log, ours)
        except LogLocked as error:
            raise CommandError(f"{str(error).rstrip('.')}, but not by the service at {service.url}.") from None
    return Verified(applied, stores.compare(theirs, ours), ends is not None)
