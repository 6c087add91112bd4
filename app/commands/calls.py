"""callscore calls import, list and show"""

import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click

from app.client.calls import HEADINGS, find, none_of, row
from app.client.checkpoint import Checkpoint, Progress
from app.client.defaults import url_option
from app.client.errors import CommandError
from app.client.fields import Fields
from app.client.http import Client
from app.client.importing import Import, continued, rewrites
from app.client.lines import Source
from app.client.output import note, print_json, print_line
from app.client.preview import look_at
from app.client.text import clean, number, plural, seconds
from app.commands import listing
from app.commands.options import bad_usage, client_options, json_lines_option, project_option, table_limit_option


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@project_option
@click.option("--id", "id_field", metavar="FIELD", help="Call id. Default: a hash of the whole line.")
@click.option(
    "--input", "inputs", metavar="FIELD[,FIELD..]", multiple=True,
    help="Inputs of the call. Repeatable. Default: all top-level fields that no other option names.",
)  # fmt: skip
@click.option("--output", metavar="FIELD", default="output", show_default=True, help="Output of the model.")
@click.option("--exception", metavar="FIELD", help="Error of a call that failed, which then needs no output.")
@click.option("--op-name", metavar="TEXT", help="Op name of all calls. Default: imported.")
@click.option("--op-name-field", metavar="FIELD", help="Op name of each call.")
@click.option("--attribute", "attributes", metavar="FIELD", multiple=True, help="Attribute, e.g. model. Repeatable.")
@click.option(
    "--started-at", metavar="FIELD", help="Start time, RFC 3339 or Unix. Default: the end time, otherwise 1970-01-01."
)
@click.option("--ended-at", metavar="FIELD", help="End time, RFC 3339 or Unix. Default: the start time.")
@click.option("--limit", metavar="N", type=click.IntRange(1, sys.maxsize), help="Import only the first N lines.")
@click.option(
    "--rejected", metavar="FILE", type=click.Path(dir_okay=False),
    help="Write every rejected line's number and reason to FILE, as JSON lines.",
)  # fmt: skip
@click.option("--restart", is_flag=True, help="Start over instead of continuing an interrupted import.")
@client_options
async def import_(
    file: str,
    id_field: str | None,
    inputs: tuple[str, ...],
    output: str,
    exception: str | None,
    op_name: str | None,
    op_name_field: str | None,
    attributes: tuple[str, ...],
    started_at: str | None,
    ended_at: str | None,
    limit: int | None,
    rejected: str | None,
    restart: bool,
    project: str,
    client: Client,
) -> int:
    """Import FILE, JSON lines (gzip too; - for stdin), as calls of a project.

    FIELD is the name of a field or a dotted path such as response.choices.0.text.

    An import can be repeated: the same line gives the same call, and an interrupted import continues where it stopped.
    Lines that cannot become calls are skipped, and the first ten are shown. A call that already exists keeps its
    content; different content sent for it becomes a dead letter.
    """
    if op_name is not None and op_name_field is not None:
        raise bad_usage("Use either --op-name or --op-name-field, not both.")
    if rejected is not None and _are_one(rejected, file):
        raise bad_usage("--rejected must name another file than the one to import.")
    fields = Fields(
        project=project,
        id=id_field,
        inputs=_split(inputs),
        output=output,
        exception=exception,
        op_name=op_name or "imported",
        op_name_field=op_name_field,
        attributes=_split(attributes),
        started_at=started_at,
        ended_at=ended_at,
    )
    repeated = look_at(file, fields, limit)
    source = Source.open(file)
    checkpoint = None if source.size is None else Checkpoint.of(Path(file), repr(fields), limit, client.service.url)
    if checkpoint and restart:
        checkpoint.remove()
    progress = Progress() if checkpoint is None else await continued(client, project, checkpoint)
    before = replace(progress)
    run = Import(client, source, fields, checkpoint, progress)
    started = time.monotonic()
    since = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    with _opened(rejected, before.line > 0) as opened:
        done = await run.run(limit, opened)
    elapsed = time.monotonic() - started
    sent = done.imported - before.imported
    rewritten = sent and await rewrites(client, project, since)
    earlier = f"; before: {number(before.imported)} sent, {number(before.rejected)} rejected" if before.line else ""
    print_line(
        f"{plural(sent, 'call')} sent, {number(done.rejected - before.rejected)} rejected, "
        f"in {seconds(elapsed)} ({number(round(sent / elapsed))}/s){earlier}."
    )
    if repeated:
        hint = " Use --id if the lines have a field with an id." if id_field is None else ""
        note(f"{plural(repeated, 'line')} repeated an earlier one and did not become a separate call.{hint}")
    if done.imported and not before.line:
        for path in sorted(run.seen.missing):
            note(f"No line has the field {path!r}.")
    if rewritten:
        note(
            "Some of these calls already existed with different content, which was kept. To import the new content, "
            "use other ids or another project. To see these calls, run: "
            f"callscore dead-letters list --project {project} --reason call_rewritten --since {since}"
            f"{url_option(client.service.url)}"
        )
    return 1 if done.rejected or rewritten else 0


def _are_one(path: str, other: str) -> bool:
    """Whether both name the same file."""
    return all(map(os.path.exists, (path, other))) and os.path.samefile(path, other)


def _opened(path: str | None, append: bool) -> AbstractContextManager[IO[bytes] | None]:
    return nullcontext() if path is None else open(path, "ab" if append else "wb")


def _split(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for field in fields for name in field.split(",") if name.strip())


@click.command("list")
@project_option
@table_limit_option
@json_lines_option
@client_options
async def list_(project: str, limit: int | None, as_json: bool, client: Client) -> None:
    """List the calls of a project that have ended, sorted by id."""
    await listing.show(client, "/calls", {"project_id": project}, limit, as_json, HEADINGS, row, none_of(project))


@click.command()
@click.argument("call_id", metavar="ID")
@project_option
@client_options
async def show(call_id: str, project: str, client: Client) -> None:
    """Show the call ID of a project as JSON."""
    if (found := await find(client, project, call_id)) is None:
        raise CommandError(f"The project {project} has no call {clean(call_id)!r}, or the call has not ended.")
    print_json(found)
