"""What goes wrong with a log, as the one sentence that ends a command."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.client.errors import BadInput, CommandError
from app.embedded.errors import EmbeddedLogError, LogNotEmpty, NoLog, NotCompacted
from app.settings import SettingsError


@contextmanager
def sentences() -> Iterator[None]:
    """Raise what the embedded log and the settings raise as CommandError, BadInput where another value helps."""
    try:
        yield
    except (SettingsError, LogNotEmpty, NoLog, NotCompacted) as error:
        raise BadInput(str(error)) from None
    except EmbeddedLogError as error:
        raise CommandError(str(error)) from None
