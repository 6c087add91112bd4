"""Copies of the tables of a service: a stopped one, or a running one at one position of the log."""

from base64 import b64decode
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import orjson

from app import instance
from app.client.errors import CommandError, Unreachable
from app.client.http import Client, Service
from app.settings import Settings
from app.upkeep import stores
from app.upkeep.rebuild import Offsets
from app.upkeep.stores import Store


def copy_stopped(settings: Settings, directory: Path) -> None:
    """Copy the tables in the data directory; of a partition that several workers had, the newest copy.

    Raises:
        CommandError: there are no tables.
    """
    folders = [folder / "tables" for folder in instance.folders(settings.data_dir)]
    by_partition: defaultdict[int, defaultdict[Path, list[Store]]] = defaultdict(lambda: defaultdict(list))
    for folder in folders:
        for store in stores.stores_in(folder):
            by_partition[store.partition][folder].append(store)
    if not by_partition:
        raise CommandError(f"There are no tables in {settings.data_dir.absolute()}. Check CALLSCORE_DATA_DIR.")
    for found in by_partition.values():
        newest = max(found, key=lambda folder: sum(stores.changelog_offset(store, folder) for store in found[folder]))
        for store in found[newest]:
            stores.copy(store, newest, directory)


async def copy_running(settings: Settings, service: Service, directory: Path) -> Offsets | None:
    """Copy the tables of all workers. Returns the end offsets that the copies cover, by topic and partition.

    Returns None if no service answers, or one with another log.

    Raises:
        CommandError: it refuses, has another number of partitions, or partitions are moving.
    """
    async with Client(service) as client:
        try:
            about = await client.get("/internal/rows")
        except Unreachable:
            return None
    if about["log"] != settings.log_name:
        return None
    owners: dict[str, str] = about["owners"]
    if len(owners) != settings.partitions:
        raise CommandError(
            f"The service at {service.url} has {len(owners)} partitions, but CALLSCORE_PARTITIONS is "
            f"{settings.partitions}. Set it to {len(owners)}."
        )
    ends: defaultdict[str, list[int]] = defaultdict(list)
    for partition in range(settings.partitions):
        async with Client(Service(owners[str(partition)], service.api_key)) as client:
            for topic, end in (await _copy_partition(client, partition, directory)).items():
                ends[topic].append(end)
    return ends


async def _copy_partition(client: Client, partition: int, directory: Path) -> dict[str, int]:
    ends: dict[str, int] = {}
    with ExitStack() as made:
        into = {}
        async for part in client.frames(f"/internal/rows/{partition}"):
            found = orjson.loads(part)
            if isinstance(found, dict):
                ends = found["ends"]
                continue
            table, key, value = found
            if table not in into:
                into[table] = made.enter_context(stores.making(Store(table, partition), directory))
            into[table](b64decode(key), b64decode(value))
    return ends
