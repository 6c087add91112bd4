"""Making a log from an export: on any broker, and with any number of partitions."""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import NamedTuple

from app.client.errors import CommandError
from app.embedded.record import Record
from app.settings import Settings, get_settings
from app.upkeep import embedded, kafka, lines, names, places
from app.upkeep.errors import sentences
from app.upkeep.recut import Recut


class Imported(NamedTuple):
    """How many records were read and written by topic, and the partitions before and after."""

    read: dict[str, int]
    written: dict[str, int]
    partitions: tuple[int, int]


async def import_log(path: Path) -> Imported:
    """Make the settings' log, which must hold nothing yet, from an export.

    Raises:
        CommandError: the export is incomplete or damaged, or the log is in use, has records, or cannot be written.
        OSError: the file cannot be read.
    """
    with sentences(), kafka.sentences():
        settings = get_settings()
        places.check_no_tables(settings)
        if path != lines.STANDARD:
            _verify(path)
        read, written = Counter[str](), Counter[str]()
        with lines.reading(path) as export:
            _check_topics(settings, export.header)
            before = export.header.partitions
            records = _moved(settings, _counted(export.records(), read))
            if before != settings.partitions:
                records = Recut(settings.partitions).apply(records)
            async with _target(settings) as target:
                for record in records:
                    await target.put(record)
                    written[record.topic] += 1
                places.check_no_tables(settings)  # none of another log were made meanwhile either
        return Imported(dict(read), dict(written), (before, settings.partitions))


def _verify(path: Path) -> None:
    """Read all of it once before anything is written."""
    with lines.reading(path) as export:
        for _ in export.records():
            pass


def _check_topics(settings: Settings, header: lines.Header) -> None:
    unknown = sorted(header.ends.keys() - names.primary(settings).keys())
    if unknown:
        raise CommandError(f"The export has a topic that this version of callscore does not know: {unknown[0]}.")


def _counted(records: Iterator[Record], counter: Counter[str]) -> Iterator[Record]:
    for record in records:
        counter[record.topic] += 1
        yield record


def _moved(settings: Settings, records: Iterator[Record]) -> Iterator[Record]:
    """All but dead letters: each record that one is about is imported, and becomes one again when it is read."""
    moved = names.moved(settings)
    return (record for record in records if record.topic in moved)


def _target(
    settings: Settings,
) -> AbstractAsyncContextManager[embedded.EmbeddedTarget] | AbstractAsyncContextManager[kafka.KafkaTarget]:
    return embedded.target(settings) if settings.embedded else kafka.target(settings)
