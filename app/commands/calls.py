"""callscore calls import, list and show"""

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.commands.projects import project_option
from app.commands.service_options import service_options

if TYPE_CHECKING:
    from app.client.fields import Fields
    from app.client.http import Service

_TABLE_ROWS = 50


@click.group()
def calls() -> None:
    """Logged LLM calls."""


@calls.command("import", short_help="Import JSON lines as calls.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@project_option
@click.option("--id", "id_field", metavar="FIELD", help="The call's id. Default: a hash of the whole line.")
@click.option(
    "--input", "inputs", metavar="FIELD[,FIELD..]", multiple=True,
    help="The inputs. Default: every top-level field that no other option names.",
)  # fmt: skip
@click.option("--output", metavar="FIELD", default="output", show_default=True, help="What the model answered.")
@click.option("--op-name", metavar="TEXT", help="The op name of all calls. Default: imported.")
@click.option("--op-name-field", metavar="FIELD", help="The op name of each call.")
@click.option("--attribute", "attributes", metavar="FIELD", multiple=True, help="An attribute, e.g. model. Repeatable.")
@click.option("--started-at", metavar="FIELD", help="RFC 3339 or Unix time. Default: 1970, the same for every call.")
@click.option("--ended-at", metavar="FIELD", help="The same for the end. Default: the start.")
@click.option("--limit", type=click.IntRange(1, sys.maxsize), help="Only the first N lines.")
@click.option("--restart", is_flag=True, help="Start over where an interrupted import would continue.")
@service_options
def import_(
    file: str,
    id_field: str | None,
    inputs: tuple[str, ...],
    output: str,
    op_name: str | None,
    op_name_field: str | None,
    attributes: tuple[str, ...],
    started_at: str | None,
    ended_at: str | None,
    limit: int | None,
    restart: bool,
    project: str,
    service: "Service",
) -> int:
    """Import the JSON lines of FILE (- for stdin; gzip is recognised) as calls of a project.

    A FIELD is a name or a dotted path such as response.choices.0.text. Importing a line again gives the same call, so
    an import can always be run again; one that was interrupted continues where it stopped. A line that cannot be a
    call is reported and left out. A call that is already there keeps its first content; another content that is sent
    for it is kept as a dead letter.
    """
    from app.client.fields import Fields

    if op_name is not None and op_name_field is not None:
        raise click.UsageError("Give --op-name or --op-name-field, not both.", click.get_current_context())
    fields = Fields(
        project=project,
        id=id_field,
        inputs=_split(inputs),
        output=output,
        op_name=op_name or "imported",
        op_name_field=op_name_field,
        attributes=_split(attributes),
        started_at=started_at,
        ended_at=ended_at,
    )
    return asyncio.run(_import(service, file, fields, limit, restart))


@calls.command("list", short_help="The calls that have ended.")
@project_option
@click.option("--limit", type=click.IntRange(min=1), help="At most N. Default: 50 for the table, else all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@service_options
def list_(project: str, limit: int | None, as_json: bool, service: "Service") -> None:
    """The calls of a project that have ended, by id."""
    asyncio.run(_list(service, project, limit, as_json))


@calls.command(short_help="One call, as it was logged.")
@click.argument("call_id", metavar="ID")
@project_option
@service_options
def show(call_id: str, project: str, service: "Service") -> None:
    """The call ID of a project, as JSON."""
    asyncio.run(_show(service, project, call_id))


async def _list(service: "Service", project: str, limit: int | None, as_json: bool) -> None:
    from app.client.calls import HEADINGS, row
    from app.client.http import Client
    from app.client.output import note, say, table
    from app.client.text import json_line

    params = {"project_id": project}
    async with Client(service, on_wait=note) as client:
        if as_json:
            async for call in client.items("/calls", params, limit):
                say(json_line(call))
            return
        most = limit or _TABLE_ROWS
        found = [call async for call in client.items("/calls", params, most + 1)]
    if not found:
        say(f"The project {project} has no calls; import some with: callscore calls import")
        return
    table(HEADINGS, [row(call) for call in found[:most]])
    if len(found) > most:
        note(f"The first {most} are shown; more with --limit N, all with --json.")


async def _show(service: "Service", project: str, call_id: str) -> None:
    from app.client.errors import CommandError
    from app.client.http import Client
    from app.client.output import note, say
    from app.client.text import clean, json_line

    async with Client(service, on_wait=note) as client:
        params = {"project_id": project, "call_id": call_id}
        found = [call async for call in client.items("/calls", params, 1)]
    if not found:
        raise CommandError(f"The project {project} has no call {clean(call_id)!r}, or it has not ended.")
    say(json_line(found[0]))


async def _import(service: "Service", file: str, fields: "Fields", limit: int | None, restart: bool) -> int:
    from app.client.checkpoint import Checkpoint
    from app.client.http import Client
    from app.client.importing import Import, rewrites
    from app.client.lines import Source
    from app.client.output import note, say
    from app.client.preview import look_at
    from app.client.text import number, plural, seconds

    repeated = look_at(file, fields, limit)
    source = Source.open(file)
    checkpoint = None if source.size is None else Checkpoint.of(Path(file), repr(fields), limit, service.url)
    if checkpoint and restart:
        checkpoint.remove()
    async with Client(service, on_wait=note) as client:
        run = Import(client, source, fields, checkpoint)
        if run.resumed_at:
            note(f"Continuing after line {number(run.resumed_at)}; --restart starts over.")
        started, before = time.monotonic(), run.progress.imported
        since = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        done = await run.run(limit)
        elapsed = time.monotonic() - started
        rewritten = done.imported > before and await rewrites(client, fields.project, since)
    rate = round((done.imported - before) / elapsed)
    sent = plural(done.imported, "call")
    say(f"{sent} sent, {number(done.rejected)} rejected, in {seconds(elapsed)} ({number(rate)}/s).")
    if repeated:
        note(
            f"{plural(repeated, 'line')} repeated an earlier one and became no call of their own"
            + ("; --id names the field of an id." if fields.id is None else ".")
        )
    if done.imported and not run.resumed_at:
        for path in sorted(fields.unseen):
            note(f"No line has the field {path!r}.")
    if rewritten:
        note(
            "Some of these calls were there already with other content, which stays; what is to replace it needs other "
            "ids, or another project. See which with: "
            f"callscore dead-letters list --project {fields.project} --reason call_rewritten --since {since}"
        )
    return 1 if done.rejected or rewritten else 0


def _split(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for field in fields for name in field.split(",") if name.strip())
