"""callscore dead-letters list, show, redrive and dismiss"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from app.commands.projects import Project
from app.commands.service_options import service_options
from app.commands.times import Time

if TYPE_CHECKING:
    from app.client.http import Service

_ROWS = 50
_FILTERS = ("project_id", "topic", "reason", "since", "until")
_STATES: Mapping[str | None, dict[str, str]] = {
    None: {},
    "open": {"redriven": "false", "dismissed": "false"},
    "redriven": {"redriven": "true"},
    "dismissed": {"dismissed": "true"},
}


def _filters(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which letters, and pass them on as one `filters`."""

    @click.option("--project", "project_id", type=Project(), help="Only of this project. Default: all.")
    @click.option("--topic", help="Only records of this topic, e.g. calls.")
    @click.option("--reason", help="Only with this reason, e.g. undecodable.")
    @click.option(
        "--since", type=Time(), metavar="TIME", help="Only records written then or later, e.g. 2026-01-31T12:00:00Z."
    )
    @click.option("--until", type=Time(), metavar="TIME", help="Only records written then or earlier.")
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


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that could not be processed: see why, have them tried again, or dismiss them."""


@dead_letters.command("list")
@_filters
@click.option("--open", "state", flag_value="open", help="Only what was neither tried again nor dismissed.")
@click.option("--redriven", "state", flag_value="redriven", help="Only what was tried again.")
@click.option("--dismissed", "state", flag_value="dismissed", help="Only what was dismissed.")
@click.option("--limit", type=click.IntRange(min=1), help="At most N. Default: 50 for the table, else all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@service_options
def list_(filters: dict[str, str], state: str | None, limit: int | None, as_json: bool, service: "Service") -> None:
    """Dead letters, by when their record was written, newest first."""
    asyncio.run(_list(service, filters | _STATES[state], limit, as_json))


@dead_letters.command(short_help="One of them, with its record.")
@click.argument("letter_id", metavar="ID")
@service_options
def show(letter_id: str, service: "Service") -> None:
    """The dead letter ID, with key and value of its record, as JSON."""
    asyncio.run(_show(service, letter_id))


@dead_letters.command(short_help="Try records again.")
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@_filters
@click.option("--all", "everything", is_flag=True, help="All of them.")
@service_options
def redrive(letter_ids: tuple[str, ...], filters: dict[str, str], everything: bool, service: "Service") -> None:
    """Try the records of dead letters again: of those named, or those that match.

    Each is tried again once; one that fails again is a new dead letter. What was dismissed is not tried again.
    """
    _check_named_in_one_way(letter_ids, filters, everything)
    asyncio.run(_redrive(service, filters, letter_ids))


@dead_letters.command(short_help="Close them without trying again.")
@click.argument("letter_ids", metavar="[ID]...", nargs=-1)
@_filters
@click.option("--all", "everything", is_flag=True, help="All of them.")
@service_options
def dismiss(letter_ids: tuple[str, ...], filters: dict[str, str], everything: bool, service: "Service") -> None:
    """Close dead letters without trying their records again: those named, or those that match.

    For what can only fail again, such as a call that was logged twice with different content. They stay in the
    list, and what was dismissed is not tried again.
    """
    _check_named_in_one_way(letter_ids, filters, everything)
    asyncio.run(_dismiss(service, filters, letter_ids))


def _check_named_in_one_way(letter_ids: tuple[str, ...], filters: dict[str, str], everything: bool) -> None:
    if sum(map(bool, (letter_ids, filters, everything))) != 1:
        raise click.UsageError("Say which in one way: by ID, by filters, or --all.", click.get_current_context())


async def _list(service: "Service", filters: dict[str, str], limit: int | None, as_json: bool) -> None:
    from app.client.dead_letters import closed
    from app.client.http import Client
    from app.client.output import note, say, table
    from app.client.text import json_line

    most = limit if as_json else (limit or _ROWS) + 1
    async with Client(service, on_wait=note) as client:
        found = [letter async for letter in client.items("/dead-letters", filters, most)]
    if as_json:
        for letter in found:
            say(json_line(letter))
        return
    if not found:
        say("There are no dead letters.")
        return
    shown = found[: most and most - 1]
    rows = [
        [letter["id"], letter["topic"], letter["reason"], closed(letter) or "-", letter["detail"]] for letter in shown
    ]
    table(["ID", "TOPIC", "REASON", "CLOSED", "DETAIL"], rows)
    if len(found) > len(shown):
        note(f"The newest {len(shown)} are shown; more with --limit N, all with --json.")


async def _show(service: "Service", letter_id: str) -> None:
    from app.client import dead_letters
    from app.client.http import Client
    from app.client.output import note, say
    from app.client.text import json_line

    async with Client(service, on_wait=note) as client:
        say(json_line(await dead_letters.find(client, letter_id)))


async def _redrive(service: "Service", filters: dict[str, str], letter_ids: tuple[str, ...]) -> None:
    from app.client import dead_letters
    from app.client.http import Client
    from app.client.output import note, say
    from app.client.text import plural

    async with Client(service, on_wait=note) as client:
        done = await dead_letters.redrive(client, filters, letter_ids)
    say(f"{plural(done.letters, 'record')} tried again.")
    if done.left_out:
        note(f"{plural(done.left_out, 'record')} too large to be kept in a letter: they are in the log only.")


async def _dismiss(service: "Service", filters: dict[str, str], letter_ids: tuple[str, ...]) -> None:
    from app.client import dead_letters
    from app.client.http import Client
    from app.client.output import note, say
    from app.client.text import plural

    async with Client(service, on_wait=note) as client:
        done = await dead_letters.dismiss(client, filters, letter_ids)
    say(f"{plural(done.letters, 'letter')} dismissed.")
