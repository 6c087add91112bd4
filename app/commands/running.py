"""Running a command: however it ends, it ends with an exit code and at most one sentence."""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches

import click

from app.client.errors import CommandError
from app.client.text import clean

_SIMILAR = 0.75
FAILED, USAGE, INTERRUPTED = 1, 2, 130


def guarded(command: click.Command, args: Sequence[str] | None = None) -> int:
    """Run `command` and return the exit code: its own, otherwise 0; 1 failed; 2 usage; 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    for argument in sys.argv[1:] if args is None else args:
        if not _is_text(argument):
            return _fail(f"{argument!r} is not valid UTF-8.", USAGE)
    try:
        result = command.main(args, prog_name="callscore", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.UsageError as error:
        return _fail(_usage(error), USAGE)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except CommandError as error:
        return _fail(str(error), error.exit_code)
    except MemoryError:
        return _fail("Out of memory.", FAILED)
    except OSError as error:
        return _fail(f"{error.filename or 'The system'}: {error.strerror or error}.", FAILED)
    except Exception as error:
        return _fail(f"This is a bug in callscore: {_where(error).rstrip('.')}.", FAILED)
    return result if isinstance(result, int) else 0


def _is_text(argument: str) -> bool:
    """Whether it can be sent; the name of a file may be any bytes."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return os.path.exists(argument)
    return True


def _usage(error: click.UsageError) -> str:
    sentence = (_no_such(error) if isinstance(error, click.NoSuchOption) else error.format_message()).rstrip(".")
    return f"{sentence}; see: {error.ctx.command_path} --help" if error.ctx else f"{sentence}."


def _no_such(error: click.NoSuchOption) -> str:
    """The sentence, with the option that was probably meant: those that click thinks of are too far from it."""
    typed, known = error.option_name, error.possibilities or ()
    similar = [one for one in known if one.startswith(typed)] or get_close_matches(typed, known, 1, _SIMILAR)
    return f"{error.message}. Did you mean {similar[0]}?" if similar else error.message


def _where(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {os.path.basename(frame.filename)}:{frame.lineno}: {error}"


def _fail(sentence: str, code: int) -> int:
    click.echo(clean(sentence), err=True)
    return code
