"""callscore weave pull and push"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import click

from app.client.errors import BadInput, CommandError, Refused, Unreachable
from app.client.http import Client
from app.client.output import note, print_json, print_line
from app.client.text import number, plural
from app.client.weave.counts import Counts
from app.client.weave.pull import FIRST, Pull
from app.client.weave.push import Push
from app.client.weave.service import HOSTED, KEY_VARIABLE, Weave
from app.commands.options import bad_usage, client_options, json_option, project_option
from app.commands.types import Time
from app.urls import is_base_url, is_key, is_loopback

_PAUSE, _REST = 10.0, 4.0


def _checked_url(ctx: click.Context, param: click.Parameter, url: str) -> str:
    """The URL of a Weave, to which the key may be sent."""
    if not is_base_url(url):
        raise click.BadParameter(f"It must look like {HOSTED}.", ctx, param)
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise click.BadParameter("It must be an https URL, unless it is of this machine.", ctx, param)
    return url.rstrip("/")


def _weave_option(name: str) -> Callable[..., Any]:
    return click.option(
        name, "weave_url", metavar="URL", default=HOSTED, show_default=True, callback=_checked_url,
        help=f"URL of the Weave trace server; {KEY_VARIABLE} is the key for it.",
    )  # fmt: skip


_follow_option = click.option("--follow", is_flag=True, help="Keep running, and look for new ones now and then.")
_json_option = json_option("Print the result as JSON.")


@click.command()
@_weave_option("--from")
@project_option
@click.option("--since", type=Time(), metavar="TIME", help="Only calls that ended at TIME or later.")
@click.option(
    "--expand", "columns", metavar="COLUMN", multiple=True,
    help="Have Weave replace a ref, such as inputs.example, by what it refers to. Repeatable.",
)  # fmt: skip
@_follow_option
@_json_option
@client_options
async def pull(
    weave_url: str,
    project: str,
    since: datetime | None,
    columns: tuple[str, ...],
    follow: bool,
    as_json: bool,
    client: Client,
) -> int:
    """Log the calls of a Weave project that have ended as calls of the project of the same name here.

    Calls that are here already are left out, so a pull can be repeated and interrupted.
    """
    async with _weave(weave_url, client) as weave:
        run = Pull(client, weave, project, FIRST if since is None else max(FIRST, since.timestamp()), columns)
        return await _passes(run.run, run.counts, "call", "pulled", follow, as_json)


@click.command()
@_weave_option("--to")
@project_option
@click.option("--since", type=Time(), metavar="TIME", help="Only scores made at TIME or later.")
@_follow_option
@_json_option
@client_options
async def push(
    weave_url: str, project: str, since: datetime | None, follow: bool, as_json: bool, client: Client
) -> int:
    """Write the succeeded scores of a project as feedback on the calls of the Weave project of the same name.

    Scores that are there already are left out, so a push can be repeated and interrupted.
    """
    async with _weave(weave_url, client) as weave:
        run = Push(client, weave, project, since)
        return await _passes(run.run, run.counts, "score", "pushed", follow, as_json)


def _weave(url: str, client: Client) -> Weave:
    if url == client.service.url:
        raise bad_usage("The Weave and the service of --url are the same.")
    key = os.environ.get(KEY_VARIABLE, "")
    if not is_key(key):
        raise BadInput(f"Set {KEY_VARIABLE} to your key for {url}.")
    return Weave(url, key, on_wait=note)


async def _passes(
    run: Callable[[], Awaitable[None]], counts: Counts, noun: str, done: str, follow: bool, as_json: bool
) -> int:
    """One pass, or passes for ever, with a pause at least four times as long as the pass in between.

    An outage of either service does not end those.
    """
    shown = None
    while True:
        began = time.monotonic()
        try:
            await run()
        except CommandError as error:
            if not follow or not _may_pass(error):
                raise
            note(f"{error} Trying again.")
        took = time.monotonic() - began
        if shown != (counts.moved, counts.refused):
            shown = counts.moved, counts.refused
            if as_json:
                print_json({done: counts.moved, "refused": counts.refused})
            else:
                print_line(f"{plural(counts.moved, noun)} {done}, {number(counts.refused)} refused.")
            sys.stdout.flush()
        if not follow:
            return 1 if counts.refused else 0
        await asyncio.sleep(max(_PAUSE, _REST * took))


def _may_pass(error: CommandError) -> bool:
    return isinstance(error, Unreachable) or (
        isinstance(error, Refused) and (error.status == 429 or error.status > 499)
    )
