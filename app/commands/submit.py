"""callscore submit"""

import asyncio
import re
import time
from collections.abc import Sequence
from typing import TextIO

import click

from app.client import calls, requests
from app.client.defaults import url_option
from app.client.errors import BadInput, CommandError, Unreachable
from app.client.http import Client
from app.client.output import note, print_all, print_json, print_line
from app.client.scorers import refs
from app.client.tasks import reasons, summary, total
from app.client.text import number, plural
from app.commands.options import bad_usage, client_options, json_option, project_option

_BRACED = re.compile(r'\{[^\s"{}:,]+\}')  # an id may be in braces, as GUIDs are

Work = list[tuple[list[str], list[str]]]  # call ids and scorer refs of each request


@click.command()
@click.argument("call_ids", metavar="[CALL_ID]...", nargs=-1)
@project_option
@click.option(
    "--scorer", "scorers", metavar="REF_OR_NAME", multiple=True, required=True,
    help="Scorer to apply; a name means its latest version. Repeatable.",
)  # fmt: skip
@click.option(
    "--calls-from", type=click.File(encoding="utf-8-sig"), help="File with one call id per line; - for stdin."
)
@click.option("--gaps", is_flag=True, help="Score the calls that have no succeeded score by the scorer.")
@click.option("--rescore", metavar="TOKEN", help="Score calls again that have a score; once for the same token.")
@click.option("--wait/--no-wait", default=True, help="Wait until every task has ended. Default: wait.")
@json_option("Print the request as JSON.")
@client_options
async def submit(
    call_ids: tuple[str, ...],
    project: str,
    scorers: tuple[str, ...],
    calls_from: TextIO | None,
    gaps: bool,
    rescore: str | None,
    wait: bool,
    as_json: bool,
    client: Client,
) -> int:
    """Score the given calls of a project, or all of its calls if none are given.

    Existing scores are reused: a scorer does not run again on a call that it has scored.
    """
    if gaps and (call_ids or calls_from or rescore is not None):
        raise bad_usage("--gaps cannot be combined with call ids or --rescore.")
    if call_ids and calls_from:
        raise bad_usage("Use either call ids or --calls-from, not both.")
    if rescore is not None and not (rescore.isascii() and rescore.isprintable() and rescore.strip()):
        raise bad_usage("The token of --rescore must consist of printable ASCII characters.")
    chosen = _read(calls_from) if calls_from else list(call_ids) or None
    scorer_refs = await refs(client, project, scorers)
    if gaps:
        work = await requests.gaps(client, project, scorer_refs)
        if not work:
            note("There are no gaps.")
            return 0
    else:
        work = await _work(client, project, scorer_refs, chosen)
    return await _submit(client, project, work, rescore, wait, as_json)


def _read(calls_from: TextIO) -> list[str]:
    try:
        ids = [line.strip() for line in calls_from if line.strip()]
    except UnicodeDecodeError:
        raise bad_usage("The file of --calls-from is not UTF-8.") from None
    # Otherwise tasks would wait for calls with such ids.
    if any(line.startswith("{") and not _BRACED.fullmatch(line) for line in ids):
        raise bad_usage("--calls-from takes one id per line, not JSON. Extract the ids with: jq -r .id FILE")
    return ids


async def _work(client: Client, project: str, scorer_refs: list[str], chosen: list[str] | None) -> Work:
    parts = requests.parts(await requests.call_ids(client, project) if chosen is None else chosen)
    if not parts:
        if chosen is not None:
            raise BadInput("The file of --calls-from contains no call ids.")
        raise CommandError(calls.none_of(project))
    if len(parts) > 1:
        note(f"{number(sum(map(len, parts)))} calls do not fit into one request, so {len(parts)} requests are made.")
    return [(part, scorer_refs) for part in parts]


async def _submit(client: Client, project: str, work: Work, rescore: str | None, wait: bool, as_json: bool) -> int:
    started = time.monotonic()
    request_ids: list[str] = []
    try:
        for call_ids, scorer_refs in work:
            request_ids.append(await requests.submit(client, project, call_ids, scorer_refs, rescore))
            counts = f"{plural(len(call_ids), 'call')}, {plural(len(scorer_refs), 'scorer')}"
            note(f"Request {request_ids[-1]}: {counts}.")
        if not wait:
            await _print_receipts(client, request_ids, as_json)
            return 0
        finished = await requests.watch(client, request_ids)
    except (asyncio.CancelledError, Unreachable):
        if request_ids:
            one = f" {request_ids[0]}" if len(request_ids) == 1 else ""
            note(f"Scoring continues. Follow it with: callscore status{one}{url_option(client.service.url)}")
        raise
    elapsed = time.monotonic() - started
    if as_json:
        print_all(finished)
    else:
        print_line(f"{summary(finished, elapsed)}.")
    tasks = total(finished)
    if tasks["failed"]:
        for line in await reasons(client, finished, " failed"):
            note(line)
    return 1 if tasks["failed"] or tasks["cancelled"] else 0


async def _print_receipts(client: Client, request_ids: Sequence[str], as_json: bool) -> None:
    for request_id in request_ids:
        if as_json:
            print_json(await requests.find(client, request_id))
        else:
            print_line(request_id)
    if not as_json:
        note(f"Check its progress with: callscore status {request_ids[0]}{url_option(client.service.url)}")
