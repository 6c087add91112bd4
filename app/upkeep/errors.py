"""Errors of the embedded log and of the settings, as errors that end a command."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from app.client.errors import BadInput, CommandError
from app.embedded.errors import EmbeddedLogError, LogBlockCorrupt, LogFailed, LogNotEmpty, NoLog, NotCompacted
from app.settings import SettingsError


@contextmanager
def as_command_errors() -> Iterator[None]:
    """Raise errors of the embedded log and the settings as CommandError; as BadInput if another value helps."""
    try:
        yield
    except (SettingsError, LogNotEmpty, NoLog, NotCompacted) as error:
        raise BadInput(str(error)) from None
    except LogBlockCorrupt as error:
        raise CommandError(str(error)) from None
    except LogFailed as error:  # its own message is for a service, which tries again by itself
        raise CommandError(f"The log cannot be written ({error.reason}). Check its disk and try again.") from None
    except EmbeddedLogError as error:
        raise CommandError(str(error)) from None


def no_topic(name: str, topics: Iterable[str]) -> BadInput:
    """The error for a topic that a log, which has `topics`, does not have."""
    return BadInput(f"There is no topic {name} in the log; it has {', '.join(sorted(topics)) or 'none'}.")
