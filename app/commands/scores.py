"""callscore scores"""

import asyncio
import csv
import sys
from typing import TYPE_CHECKING

import click

from app.commands.projects import project_option
from app.commands.service_options import service_options

if TYPE_CHECKING:
    from app.client.http import Client, Service

_TABLE_ROWS = 50


@click.command()
@project_option
@click.option("--call", metavar="ID", help="Only of this call.")
@click.option("--scorer", metavar="REF_OR_NAME", help="Only of this scorer.")
@click.option("--status", help="Only with this status, e.g. failed.")
@click.option("--limit", type=click.IntRange(min=1), help="At most N. Default: 50 for the table, else all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated, with a line of headings.")
@service_options
def scores(
    project: str,
    call: str | None,
    scorer: str | None,
    status: str | None,
    limit: int | None,
    as_json: bool,
    as_csv: bool,
    service: "Service",
) -> None:
    """The scores of a project's calls."""
    if as_json and as_csv:
        raise click.UsageError("Give --json or --csv, not both.", click.get_current_context())
    params = {"project_id": project}
    if call is not None:
        params["call_id"] = call
    if status is not None:
        params["status"] = status
    asyncio.run(_scores(service, params, scorer, limit, as_json, as_csv))


async def _scores(
    service: "Service", params: dict[str, str], scorer: str | None, limit: int | None, as_json: bool, as_csv: bool
) -> None:
    from app.client.http import Client
    from app.client.output import note
    from app.client.scorers import refs

    async with Client(service, on_wait=note) as client:
        if scorer is not None:
            [params["scorer_ref"]] = await refs(client, params["project_id"], [scorer])
        if as_json:
            await _json(client, params, limit)
        elif as_csv:
            await _csv(client, params, limit)
        else:
            await _table(client, params, limit or _TABLE_ROWS)


async def _json(client: "Client", params: dict[str, str], limit: int | None) -> None:
    from app.client.text import json_line

    async for score in client.items("/scores", params, limit):
        sys.stdout.write(f"{json_line(score)}\n")


async def _csv(client: "Client", params: dict[str, str], limit: int | None) -> None:
    from app.client.scores import CSV_COLUMNS, csv_row

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    async for score in client.items("/scores", params, limit):
        writer.writerow(csv_row(score))


async def _table(client: "Client", params: dict[str, str], limit: int) -> None:
    from app.client.output import note, say, table
    from app.client.scores import brief

    found = [score async for score in client.items("/scores", params, limit + 1)]
    if not found:
        say("No scores match.")
        return
    rows = [[score["call_id"], score["scorer_name"], score["status"], brief(score)] for score in found[:limit]]
    table(["CALL", "SCORER", "STATUS", "RESULT"], rows)
    if len(found) > limit:
        note(f"The first {limit} are shown; more with --limit N, all with --json or --csv.")
