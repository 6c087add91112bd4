"""Making all tables anew from the primary topics alone, and comparing them with those that a service keeps."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from app.client.errors import BadInput, CommandError
from app.client.http import Service
from app.embedded.errors import LogLocked
from app.settings import get_settings
from app.upkeep import kafka, kept, rebuild, stores
from app.upkeep.errors import sentences
from app.upkeep.rebuild import Applied
from app.upkeep.sources import source
from app.upkeep.stores import Compared


class Replayed(NamedTuple):
    """What was applied, and how many rows each table has."""

    applied: Applied
    rows: dict[str, int]


class Verified(NamedTuple):
    """What was applied, what the comparison gave, and whether it was with a service that runs."""

    applied: Applied
    compared: Compared
    running: bool


def replay(directory: Path, as_of: float | None = None) -> Replayed:
    """Make all tables in `directory`, which must hold nothing, from the log of the settings, also while that is used.

    Only from what was in it at `as_of` (Unix seconds), if that is given.

    Raises:
        CommandError: the log cannot be read, or something lies in the directory.
        OSError: the directory cannot be written.
    """
    if directory.exists() and any(directory.iterdir()):
        raise BadInput(f"{directory} is not empty: name a new directory.")
    tables = directory / "tables"
    tables.mkdir(parents=True)
    with sentences(), kafka.sentences():
        applied = asyncio.run(_replay(tables, as_of))
    return Replayed(applied, stores.count(tables))


async def _replay(tables: Path, as_of: float | None) -> Applied:
    async with source(get_settings(), alone=False) as log:
        return await rebuild.apply(log, tables, as_of=as_of)


def verify(service: Service) -> Verified:
    """Make all tables anew and compare them with those that the service keeps, or kept when it was stopped.

    Raises:
        CommandError: the log or the tables cannot be read, or partitions are moving.
        OSError: the data directory cannot be written.
    """
    settings = get_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="replay-", dir=settings.data_dir))  # where files can be shared
    try:
        with sentences(), kafka.sentences():
            return asyncio.run(_verify(directory, service))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _verify(directory: Path, service: Service) -> Verified:
    settings = get_settings()
    ours, theirs = directory / "rebuilt", directory / "kept"
    ends = await kept.copy_running(settings, service, theirs)
    if ends is not None:
        async with source(settings, alone=False) as log:
            applied = await rebuild.apply(log, ours, end=ends)
    else:
        try:
            async with source(settings) as log:
                kept.copy_stopped(settings, theirs)
                # What it had not committed is delivered again when it is started, so it is here.
                await rebuild.apply(log, theirs, start=await log.committed())
                applied = await rebuild.apply(log, ours)
        except LogLocked as error:
            raise CommandError(f"{str(error).rstrip('.')}, but not by the service at {service.url}.") from None
    return Verified(applied, stores.compare(theirs, ours), ends is not None)
