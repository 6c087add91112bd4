"""callscore scores"""

import asyncio
import csv
import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from app.commands.projects import project_option
from app.commands.service_options import service_options
from app.commands.times import Time

if TYPE_CHECKING:
    from app.client.http import Client, Service

_TABLE_ROWS = 50
_STATUSES = ("succeeded", "failed", "cancelled")


@click.command()
@project_option
@click.option("--call", metavar="ID", help="Only of this call.")
@click.option("--scorer", metavar="REF_OR_NAME", help="Only of this scorer.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only with this status.")
@click.option("--limit", type=click.IntRange(min=1), help="At most N. Default: 50 for the table, else all.")
@click.option("--summary", is_flag=True, help="A scorer a row: its pass rate or mean score, and of how many calls.")
@click.option("--by", metavar="PATH", help="A column for each attributes.NAME, inputs.NAME or op_name; with --summary.")
@click.option("--gaps", is_flag=True, help="The calls that have no succeeded score of the --scorer, and why.")
@click.option("--as-of", type=Time(), metavar="TIME", help="What they were then, e.g. 2026-01-31T12:00:00Z.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated, with a line of headings.")
@service_options
def scores(
    project: str,
    call: str | None,
    scorer: str | None,
    status: str | None,
    limit: int | None,
    summary: bool,
    by: str | None,
    gaps: bool,
    as_of: datetime | None,
    as_json: bool,
    as_csv: bool,
    service: "Service",
) -> None:
    """The scores of a project's calls."""
    if gaps and (scorer is None or summary or as_csv or any((call, status, as_of, by))):
        raise click.UsageError("--gaps goes with --scorer, --limit and --json only.", click.get_current_context())
    if gaps and scorer is not None:
        asyncio.run(_gaps(service, project, scorer, limit, as_json))
        return
    if summary and (as_csv or limit is not None or call is not None or status is not None):
        raise click.UsageError(
            "--summary goes with --by, --scorer, --as-of and --json only.", click.get_current_context()
        )
    if by is not None and not summary:
        raise click.UsageError("--by goes with --summary.", click.get_current_context())
    if by is not None and by != "op_name" and not by.startswith(("attributes.", "inputs.")):
        raise click.UsageError("--by is op_name, attributes.NAME or inputs.NAME.", click.get_current_context())
    at = None if as_of is None else as_of.isoformat()
    if summary:
        asyncio.run(_summary(service, project, scorer, by, at, as_json))
        return
    if as_json and as_csv:
        raise click.UsageError("Give --json or --csv, not both.", click.get_current_context())
    params = {"project_id": project}
    if call is not None:
        params["call_id"] = call
    if status is not None:
        params["status"] = status
    if at is not None:
        params["as_of"] = at
    asyncio.run(_scores(service, params, scorer, limit, as_json, as_csv))


async def _scores(
    service: "Service", params: dict[str, str], scorer: str | None, limit: int | None, as_json: bool, as_csv: bool
) -> None:
    from app.client.http import Client
    from app.client.output import note
    from app.client.scorers import ref_of_scores

    async with Client(service, on_wait=note) as client:
        if scorer is not None:
            params["scorer_ref"] = await ref_of_scores(client, params["project_id"], scorer)
        if as_json:
            await _json(client, params, limit)
        elif as_csv:
            await _csv(client, params, limit)
        else:
            await _table(client, params, scorer, limit or _TABLE_ROWS)
    if params.get("status") == "cancelled":
        where = f"callscore scores --project {params['project_id']} --scorer {scorer or 'NAME'} --gaps"
        note(f"What was cancelled before it began has no score; it is shown by: {where}")


async def _gaps(service: "Service", project: str, scorer: str, limit: int | None, as_json: bool) -> None:
    from app.client.http import Client
    from app.client.output import note, say, table
    from app.client.scorers import refs
    from app.client.scores import brief_error
    from app.client.text import json_line, number, plural

    async with Client(service, on_wait=note) as client:
        params = {"project_id": project, "scorer_ref": (await refs(client, project, [scorer]))[0]}
        if as_json:
            async for gap in client.items("/scores/gaps", params, limit):
                say(json_line(gap))
            return
        counted = await client.get("/scores/gaps/summary", params)
        most = limit or _TABLE_ROWS
        found = [gap async for gap in client.items("/scores/gaps", params, most + 1)]
    reasons = "".join(f", {number(count)} {reason.replace('_', ' ')}" for reason, count in counted["reasons"].items())
    if found:
        rows = [[gap["call_id"], gap["reason"], brief_error(gap)] for gap in found[:most]]
        table(["CALL", "REASON", "ERROR"], rows)
    if len(found) > most:
        note(f"The first {most} are shown; more with --limit N, all with --json.")
    have = "has" if 1 in (counted["scored"], counted["calls"]) else "have"
    say(f"{number(counted['scored'])} of {plural(counted['calls'], 'call')} {have} a score{reasons}.")


async def _summary(
    service: "Service", project: str, scorer: str | None, by: str | None, as_of: str | None, as_json: bool
) -> None:
    from app.client import summary
    from app.client.http import Client
    from app.client.output import note, say, table
    from app.client.scorers import ref_of_scores
    from app.client.scores import why_none
    from app.client.text import json_line

    async with Client(service, on_wait=note) as client:
        ref = None if scorer is None else await ref_of_scores(client, project, scorer)
        found = await summary.fetch(client, project, by, ref, as_of)
        if not found and not as_json:
            none = "No scores match." if ref is None else f"There are no scores by {ref}."
            say(await why_none(client, project, none, scorer, ref))
    if as_json:
        for item in found:
            say(json_line(item))
    elif found:
        table(*summary.comparison(found), fold=True)
        if by is not None and all(item["group"] is None for item in found):
            note(f"No call has {by}.")


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


async def _table(client: "Client", params: dict[str, str], scorer: str | None, limit: int) -> None:
    from app.client.output import note, say, table
    from app.client.scores import brief, why_none

    found = [score async for score in client.items("/scores", params, limit + 1)]
    if not found:
        say(await why_none(client, params["project_id"], "No scores match.", scorer, params.get("scorer_ref")))
        return
    rows = [[score["call_id"], score["scorer_name"], score["status"], brief(score)] for score in found[:limit]]
    table(["CALL", "SCORER", "STATUS", "RESULT"], rows)
    if len(found) > limit:
        note(f"The first {limit} are shown; more with --limit N, all with --json or --csv.")
