"""Writing the whole log to one file, from which it can be made anew on any broker and with any number of partitions."""

from pathlib import Path

from app.settings import get_settings
from app.upkeep import kafka, lines
from app.upkeep.errors import sentences
from app.upkeep.sources import source


async def export_log(path: Path) -> dict[str, int]:
    """Export all primary topics of the settings' log, which no worker may use; returns how many records each has.

    Raises:
        BadInput: the file is there already.
        CommandError: the log is in use, or cannot be read.
        OSError: the file cannot be written.
    """
    lines.check_new(path)
    with sentences(), kafka.sentences():
        async with source(get_settings()) as log:
            ends = await log.ends()
            with lines.writing(path) as file:
                writer = lines.Writer(file, lines.Header(partitions=log.partitions, ends=ends))
                for topic, offsets in ends.items():
                    for partition in range(len(offsets)):
                        async for record in log.records(topic, partition):
                            writer.record(record)
                writer.finish()
            return dict(writer.records)
