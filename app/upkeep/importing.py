"""Making a log from an export, on either broker and with any number of partitions."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from app.client.errors import CommandError
from app.embedded.record import Record
from app.settings import get_settings
from app.upkeep import broker, export_file, paths, topic_names
from app.upkeep.recut import Recut


class Imported(NamedTuple):
    """How many records were read and written, by topic, and the number of partitions before and after."""

    read: dict[str, int]
    written: dict[str, int]
    partitions: tuple[int, int]


async def import_log(path: Path) -> Imported:
    """Make the log of the settings, which must not have records yet, from an export.

    Raises:
        CommandError: the export is incomplete or damaged, or the log is in use, has records, or cannot be written.
        OSError: the file cannot be read.
    """
    with broker.as_command_errors():
        settings = get_settings()
        paths.check_no_tables(settings)
        if path != export_file.STANDARD:
            _verify(path)
        read, written = Counter[str](), Counter[str]()
        with export_file.reading(path) as export:
            _check_topics(export.header)
            before = export.header.partitions
            records: Iterator[Record] = (
                record for record in _counted(export.records(), read) if record.topic in topic_names.IMPORTED
            )
            if before != settings.partitions:
                records = Recut(settings.partitions).apply(records)
            async with broker.target(settings) as target:
                for record in records:
                    await target.put(record)
                    written[record.topic] += 1
                paths.check_no_tables(settings)  # a service may have made some meanwhile
        return Imported(dict(read), dict(written), (before, settings.partitions))


def _verify(path: Path) -> None:
    """Read the whole export once before anything is written."""
    with export_file.reading(path) as export:
        for _ in export.records():
            pass


def _check_topics(header: export_file.Header) -> None:
    unknown = sorted(header.ends.keys() - topic_names.PRIMARY.keys())
    if unknown:
        raise CommandError(
            f"The export has the topic {unknown[0]}, which this version of callscore does not know. Use a newer one."
        )


def _counted(records: Iterator[Record], counter: Counter[str]) -> Iterator[Record]:
    for record in records:
        counter[record.topic] += 1
        yield record
