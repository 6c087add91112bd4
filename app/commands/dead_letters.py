"""callscore dead-letters list, show, redrive and dismiss"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any

import click

from app.client import dead_letters as letters
from app.client.http import Client
from app.client.output import note, print_json, print_line
from app.client.text import plural
from app.commands import listing
from app.commands.options import bad_usage, client_options, json_lines_option, table_limit_option
from app.commands.types import TIMES, Project, Time

_FILTERS = ("project_id", "topic", "reason", "since", "until")
_STATES: Mapping[str | None, dict[str, str]] = {
    None: {},
    "open": {"redriven": "false", "dismissed": "false"},
    "redriven": {"redriven": "true"},
    "dismissed": {"dismissed": "true"},
}


def _filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select letters, which the command gets as one `filters`."""

    @click.option("--project", "project_id", type=Project(), help="Only this project. Default: all.")
    @click.option("--topic", help="Only records of this topic, e.g. calls.")
    @click.option("--reason", help="Only this reason, e.g. undecodable.")
    @click.option("--since", type=Time(), metavar="TIME", help=f"Only records written at or after TIME, {TIMES}.")
    @click.option("--until", type=Time(), metavar="TIME", help="Only records written at or before TIME.")
    @wraps(function)
    def with_filters(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in _FILTERS}
        filters = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in given.items()
            if value is not None
        }
        return function(*args, filters=filters, **kwargs)

    return with_filters


_HEADINGS = ("ID", "LOGGED AT", "TOPIC", "REASON", "CLOSED", "DETAIL")


def _row(letter: Mapping[str, Any]) -> list[str]:
    closed, second = letters.closed(letter) or "-", f"{letter['logged_at'].partition('.')[0].removesuffix('Z')}Z"
    return [letter["id"], second, letter["topic"], letter["reason"], closed, letter["detail"]]


@click.command("list")
@_filters
@click.option("--open", "state", flag_value="open", help="Only those neither retried nor dismissed.")
@click.option("--redriven", "state", flag_value="redriven", help="Only those that were retried.")
@click.option("--dismissed", "state", flag_value="dismissed", help="Only those that were dismissed.")
@table_limit_option
@json_lines_option
@client_options
async def list_(filters: dict[str, str], state: str | None, limit: int | None, as_json: bool, client: Client) -> None:
    """List dead letters by the time their records were written, newest first."""
    none = f"There are no {f'{state} ' if state else ''}dead letters{' that match' if filters else ''}."
    await listing.show(client, "/dead-letters", filters | _STATES[state], limit, as_json, _HEADINGS, _row, none)


@click.command()
@click.argument("letter_id", metavar="ID")
@client_options
async def show(letter_id: str, client: Client) -> None:
    """Show the dead letter ID as JSON, with the key and value of its record."""
    print_json(await letters.find(client, letter_id))


@click.command()
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@_filters
@click.option("--all", "everything", is_flag=True, help="Retry all of them.")
@client_options
async def redrive(letter_ids: tuple[str, ...], filters: dict[str, str], everything: bool, client: Client) -> None:
    """Process the records of dead letters again: those with the given IDs, or those that match the filters.

    Each letter can be retried once; if its record fails again, a new letter is made. Dismissed letters are skipped.
    """
    _check_selection(letter_ids, filters, everything)
    done = await letters.redrive(client, filters, letter_ids)
    print_line(f"{plural(done.letters, 'record')} retried.")
    if done.left_out:
        note(
            f"{plural(done.left_out, 'record')} skipped: too large to be stored in a letter, so only the log has them."
        )


@click.command()
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@_filters
@click.option("--all", "everything", is_flag=True, help="Dismiss all of them.")
@client_options
async def dismiss(letter_ids: tuple[str, ...], filters: dict[str, str], everything: bool, client: Client) -> None:
    """Close dead letters without retrying them: those with the given IDs, or those that match the filters.

    Use it for records that would only fail again, such as a call that was logged twice with different content.
    Dismissed letters stay in the list and cannot be retried.
    """
    _check_selection(letter_ids, filters, everything)
    done = await letters.dismiss(client, filters, letter_ids)
    print_line(f"{plural(done.letters, 'letter')} dismissed.")


def _check_selection(letter_ids: tuple[str, ...], filters: dict[str, str], everything: bool) -> None:
    if sum(map(bool, (letter_ids, filters, everything))) != 1:
        raise bad_usage("Select letters in exactly one way: by ID, by filters, or with --all.")
