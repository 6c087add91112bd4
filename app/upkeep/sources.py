"""The log of the settings, to be read from, wherever it is."""

from contextlib import AbstractAsyncContextManager

from app.settings import Settings
from app.upkeep import embedded, kafka

Source = embedded.EmbeddedSource | kafka.KafkaSource


def source(
    settings: Settings, *, alone: bool = True
) -> AbstractAsyncContextManager[embedded.EmbeddedSource] | AbstractAsyncContextManager[kafka.KafkaSource]:
    """The primary topics of the log, which no worker may use if it is to be read `alone`.

    Raises:
        CommandError, EmbeddedLogError, KafkaError: it is in use, or cannot be read.
    """
    return embedded.source(settings, alone=alone) if settings.embedded else kafka.source(settings, alone=alone)
