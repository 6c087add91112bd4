"""The log of the settings, embedded or Kafka's: reading one, and making a new one."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

from app.settings import Settings
from app.upkeep import embedded, errors, kafka

Source = embedded.EmbeddedSource | kafka.KafkaSource


def source(
    settings: Settings, *, alone: bool = True
) -> AbstractAsyncContextManager[embedded.EmbeddedSource] | AbstractAsyncContextManager[kafka.KafkaSource]:
    """The primary topics of the log, to read from. With `alone`, no worker may use the log.

    Raises:
        CommandError, EmbeddedLogError, KafkaError: the log is in use, or cannot be read.
    """
    return embedded.source(settings, alone=alone) if settings.embedded else kafka.source(settings, alone=alone)


def target(
    settings: Settings,
) -> AbstractAsyncContextManager[embedded.EmbeddedTarget] | AbstractAsyncContextManager[kafka.KafkaTarget]:
    """A new log to write to, which must not have records yet.

    Raises:
        CommandError, EmbeddedLogError, KafkaError: the log has records, is in use, or cannot be written.
    """
    return embedded.target(settings) if settings.embedded else kafka.target(settings)


@contextmanager
def as_command_errors() -> Iterator[None]:
    """Raise errors of the log, embedded or Kafka's, and of the settings as CommandError."""
    with errors.as_command_errors(), kafka.as_command_errors():
        yield
