"""Writing the whole log to one file, from which `importing` makes a new log."""

from pathlib import Path

from app.settings import get_settings
from app.upkeep import broker, export_file


async def export_log(path: Path) -> dict[str, int]:
    """Export the primary topics of the settings' log, which no worker may use; returns the number of records of each.

    Raises:
        BadInput: the file exists.
        CommandError: the log is in use, or cannot be read.
        OSError: the file cannot be written.
    """
    export_file.check_new(path)
    with broker.as_command_errors():
        async with broker.source(get_settings()) as log:
            ends = await log.ends()
            with export_file.writing(path) as file:
                writer = export_file.Writer(file, export_file.Header(partitions=log.partitions, ends=ends))
                for topic, offsets in ends.items():
                    for partition in range(len(offsets)):
                        async for record in log.records(topic, partition):
                            writer.record(record)
                writer.finish()
            return dict(writer.records)
