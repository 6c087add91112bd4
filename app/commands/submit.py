"""callscore submit"""

import asyncio
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click

from app.commands.projects import project_option
from app.commands.service_options import service_options

if TYPE_CHECKING:
    from app.client.http import Client, Service

_BRACED = re.compile(r'\{[^\s"{}:,]+\}')  # an id may be in braces, as GUIDs are


@click.command()
@click.argument("call_ids", metavar="[CALL_ID]...", nargs=-1)
@project_option
@click.option("--scorer", "scorers", metavar="REF_OR_NAME", multiple=True, required=True, help="Repeatable.")
@click.option("--calls-from", type=click.File(encoding="utf-8"), help="A file of call ids, one a line; - for stdin.")
@click.option("--gaps", is_flag=True, help="Exactly the calls that have no succeeded score of the scorer.")
@click.option("--rescore", metavar="TOKEN", help="Score again what has a score; the same token only once.")
@click.option("--wait/--no-wait", default=True, help="Whether to wait until every task has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print the request as JSON.")
@service_options
def submit(
    call_ids: tuple[str, ...],
    project: str,
    scorers: tuple[str, ...],
    calls_from: TextIO | None,
    gaps: bool,
    rescore: str | None,
    wait: bool,
    as_json: bool,
    service: "Service",
) -> int:
    """Score calls: those named, or all of the project, or with --gaps those that lack a score of the scorer.

    What has a score already is reused, not run again. A scorer's name means its latest version.
    """
    if gaps and (call_ids or calls_from or rescore is not None):
        raise click.UsageError("--gaps goes without call ids and without --rescore.", click.get_current_context())
    if call_ids and calls_from:
        raise click.UsageError("Give call ids or --calls-from, not both.", click.get_current_context())
    if rescore is not None and not (rescore.isascii() and rescore.isprintable() and rescore.strip()):
        raise click.UsageError("A --rescore token has printable ASCII characters only.", click.get_current_context())
    chosen = _read(calls_from) if calls_from else list(call_ids) or None
    return asyncio.run(_submit(service, project, scorers, chosen, gaps, rescore, wait, as_json))


def _read(calls_from: TextIO) -> list[str]:
    try:
        ids = [line.strip() for line in calls_from if line.strip()]
    except UnicodeDecodeError:
        raise click.UsageError("The file of call ids is not UTF-8.", click.get_current_context()) from None
    # Tasks would wait for calls of such names.
    if any(line.startswith("{") and not _BRACED.fullmatch(line) for line in ids):
        message = "--calls-from takes one id a line, and no JSON. From lines of calls: jq -r .id FILE"
        raise click.UsageError(message, click.get_current_context())
    return ids


async def _submit(
    service: "Service",
    project: str,
    scorers: Sequence[str],
    chosen: list[str] | None,
    gaps: bool,
    rescore: str | None,
    wait: bool,
    as_json: bool,
) -> int:
    from app.client import requests
    from app.client.errors import BadInput, CommandError
    from app.client.http import Client
    from app.client.output import note, say
    from app.client.scorers import refs
    from app.client.text import json_line, number, plural

    async with Client(service, on_wait=note) as client:
        scorer_refs = await refs(client, project, scorers)
        if gaps:
            work = await requests.gaps(client, project, scorer_refs)
            if not work:
                say("There are no gaps.")
                return 0
        else:
            parts = requests.parts(await requests.call_ids(client, project) if chosen is None else chosen)
            if not parts:
                if chosen is not None:
                    raise BadInput("No call ids were given: the file of --calls-from has none.")
                raise CommandError(f"The project {project} has no calls; import some with: callscore calls import")
            if len(parts) > 1:
                total = number(sum(map(len, parts)))
                note(f"{total} calls are more than one request takes, so they become {len(parts)} requests.")
            work = [(part, scorer_refs) for part in parts]
        started = time.monotonic()
        request_ids: list[str] = []
        try:
            for part, its_refs in work:
                request_ids.append(await requests.submit(client, project, part, its_refs, rescore))
                note(f"Request {request_ids[-1]}: {plural(len(part), 'call')}, {plural(len(its_refs), 'scorer')}.")
            if not wait:
                await _receipts(client, request_ids, as_json)
                return 0
            finished = await requests.watch(client, request_ids)
        except asyncio.CancelledError:
            if request_ids:
                one = f" {request_ids[0]}" if len(request_ids) == 1 else ""
                note(f"The work goes on; follow it with: callscore status{one}")
            raise
        elapsed = time.monotonic() - started
        if as_json:
            for request in finished:
                say(json_line(request))
        else:
            say(f"{requests.summary(finished, elapsed)}.")
        tasks = requests.total(finished)
        if tasks["failed"]:
            for line in await requests.reasons(client, finished, " failed"):
                note(line)
    return 1 if tasks["failed"] or tasks["cancelled"] else 0


async def _receipts(client: "Client", request_ids: Sequence[str], as_json: bool) -> None:
    from app.client import requests
    from app.client.output import note, say
    from app.client.text import json_line

    for request_id in request_ids:
        found: dict[str, Any] | None = await requests.find(client, request_id) if as_json else None
        say(request_id if found is None else json_line(found))
    if not as_json:
        note(f"See how it stands with: callscore status {request_ids[0]}")
