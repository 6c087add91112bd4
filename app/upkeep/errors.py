"""What goes wrong with a log, as the one sentence that ends a command."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.client.errors import BadInput, CommandError
from app.embedded.errors import EmbeddedLogError, LogFailed, LogNotEmpty, NoLog, NotCompacted
from app.settings import SettingsError


@contextmanager
def sentences() -> Iterator[None]:
    """Raise what the embedded log and the settings raise as CommandError, BadInput where another value helps."""
    try:
        yield
    except (SettingsError, LogNotEmpty, NoLog, NotCompacted) as error:
        raise BadInput(str(error)) from None
    except LogFailed as error:  # whose own sentence is that of a service, which goes on by itself
        raise CommandError(f"The log cannot be written ({error.reason}): see to its disk, then try again.") from None
    except EmbeddedLogError as error:
        raise CommandError(str(error)) from None
