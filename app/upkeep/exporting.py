"""Writing the whole log to one file, from which it can be made anew on any broker and with any number of partitions."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from app.settings import Settings, get_settings
from app.upkeep import embedded, kafka, lines
from app.upkeep.errors import sentences


async def export_log(path: Path) -> dict[str, int]:
    """Export all primary topics of the settings' log, which no worker may use; returns how many records each has.

    Raises:
        CommandError: the log is in use, or cannot be read.
        OSError: the file cannot be written.
    """
    with sentences(), kafka.sentences():
        async with _source(get_settings()) as source:
            ends = await source.ends()
            with lines.writing(path) as file:
                writer = lines.Writer(file, lines.Header(partitions=source.partitions, ends=ends))
                for topic in ends:
                    async for record in source.records(topic):
                        writer.record(record)
                writer.finish()
            return dict(writer.records)


def _source(
    settings: Settings,
) -> AbstractAsyncContextManager[embedded.EmbeddedSource] | AbstractAsyncContextManager[kafka.KafkaSource]:
    return embedded.source(settings) if settings.embedded else kafka.source(settings)
