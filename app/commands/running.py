"""Running a command: every way to end it becomes an exit code and at most one sentence."""

import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

from app.client.errors import CommandError

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def guarded(command: click.Command, args: Sequence[str] | None = None) -> int:
    """Run `command` and return the exit code: what it returned, else 0; 1 failed; 2 usage; 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for word in sys.argv[1:] if args is None else args:
        if not _is_text(word):
            return _tell(f"{word!r} is not valid UTF-8.", USAGE)
    try:
        result = command.main(args, prog_name="callscore", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.UsageError as error:
        return _tell(_usage(error), USAGE)
    except click.ClickException as error:
        return _tell(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except CommandError as error:
        return _tell(str(error), error.exit_code)
    except MemoryError:
        return _tell("There is not enough memory.", FAILED)
    except OSError as error:
        return _tell(f"{error.filename or 'The system'}: {error.strerror or error}.", FAILED)
    except Exception as error:
        return _tell(f"This is a mistake in callscore: {_where(error).rstrip('.')}.", FAILED)
    return result if isinstance(result, int) else 0


def _is_text(word: str) -> bool:
    """Whether it can be sent; a file may have any name."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return os.path.exists(word)
    return True


def _usage(error: click.UsageError) -> str:
    sentence = error.format_message().rstrip(".")
    return f"{sentence}; see: {error.ctx.command_path} --help" if error.ctx else f"{sentence}."


def _where(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {os.path.basename(frame.filename)}:{frame.lineno}: {error}"


def _tell(sentence: str, code: int) -> int:
    from app.client.text import clean

    click.echo(clean(sentence), err=True)
    return code
