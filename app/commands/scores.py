"""callscore scores"""

import csv
import sys
from collections.abc import AsyncIterator
from datetime import datetime

import click

from app.client import summary as client_summary
from app.client.defaults import url_option
from app.client.http import Client
from app.client.output import fitting_table, note, print_all, print_line, table
from app.client.scorers import ref_of_scores, refs
from app.client.scores import (
    CALL_COLUMNS,
    CSV_COLUMNS,
    Score,
    brief,
    brief_error,
    csv_row,
    extreme,
    first,
    not_passed,
    why_none,
    with_calls,
)
from app.client.text import number, plural
from app.commands.listing import TABLE_ROWS, first_items, note_more, print_items
from app.commands.options import bad_usage, client_options, json_lines_option, project_option, table_limit_option
from app.commands.types import TIMES, Time

_STATUSES = ("succeeded", "failed", "cancelled")
_CHOOSING = {"failing", "lowest", "highest"}  # parameters of options that choose among succeeded scores
_NOT_WITH_SUMMARY = _CHOOSING | {"as_csv", "call", "calls", "limit", "status"}
_NOT_WITH_GAPS = _CHOOSING | {"as_csv", "as_of", "by", "call", "calls", "status", "summary"}


@click.command()
@project_option
@click.option("--call", metavar="ID", help="Only scores of this call.")
@click.option("--scorer", metavar="REF_OR_NAME", help="Only scores by this scorer.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only scores with this status.")
@click.option("--not-passed", "failing", is_flag=True, help="Only scores of calls that did not pass.")
@click.option("--lowest", metavar="N", type=click.IntRange(min=1), help="Only the N lowest by --scorer, lowest first.")
@click.option("--highest", metavar="N", type=click.IntRange(min=1), help="Only the N highest, highest first.")
@table_limit_option
@click.option("--summary", is_flag=True, help="Show the pass rate or mean score of each scorer.")
@click.option(
    "--by", metavar="PATH",
    help="With --summary: group calls by PATH, which is op_name, attributes.NAME or inputs.NAME.",
)  # fmt: skip
@click.option("--gaps", is_flag=True, help="Show the calls without a succeeded score by --scorer, and why.")
@click.option("--as-of", type=Time(), metavar="TIME", help=f"Show scores as they were at TIME, {TIMES}.")
@json_lines_option
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values with a header.")
@click.option("--with-calls", "calls", is_flag=True, help="With --json or --csv: add the call to each score.")
@client_options
async def scores(
    project: str,
    call: str | None,
    scorer: str | None,
    status: str | None,
    failing: bool,
    lowest: int | None,
    highest: int | None,
    limit: int | None,
    summary: bool,
    by: str | None,
    gaps: bool,
    as_of: datetime | None,
    as_json: bool,
    as_csv: bool,
    calls: bool,
    client: Client,
) -> None:
    """Show the scores of a project's calls, a summary of them, or the calls that lack one."""
    given = {name for name, value in click.get_current_context().params.items() if value not in (None, False)}
    _check_combination(given)
    if by is not None and by != "op_name" and not by.startswith(("attributes.", "inputs.")):
        raise bad_usage("--by must be op_name, attributes.NAME or inputs.NAME.")
    if gaps and scorer is not None:
        await _gaps(client, project, scorer, limit, as_json)
        return
    at = None if as_of is None else as_of.isoformat()
    if summary:
        await _summary(client, project, scorer, by, at, as_json)
        return
    wanted = "succeeded" if given & _CHOOSING else status
    filters = {"project_id": project, "call_id": call, "status": wanted, "as_of": at}
    params = {name: value for name, value in filters.items() if value is not None}
    if scorer is not None:
        params["scorer_ref"] = await ref_of_scores(client, project, scorer)
    rows = lowest or highest or limit or TABLE_ROWS
    most = limit if as_json or as_csv else rows + 1
    found: AsyncIterator[Score] = client.items("/scores", params, None if given & _CHOOSING else most)
    if failing:
        found = not_passed(found)
    if lowest or highest:
        found = extreme(found, rows, highest=lowest is None)
    elif failing:
        found = first(found, most)
    if calls:
        found = with_calls(client, project, found)
    if as_json:
        await print_items(found)
    elif as_csv:
        await _csv(found, calls)
    elif not await _table(found, rows):
        print_line(await why_none(client, project, "No scores match.", scorer, params.get("scorer_ref")))
    if status == "cancelled":
        note(
            "Tasks that were cancelled before they started have no score. To list them, run: "
            f"callscore scores --project {project} --scorer {scorer or 'NAME'} --gaps{url_option(client.service.url)}"
        )


def _check_combination(given: set[str]) -> None:
    """Return if the options that are `given`, by their parameters, fit together. Raises a usage error."""
    if "gaps" in given and ("scorer" not in given or given & _NOT_WITH_GAPS):
        raise bad_usage("--gaps requires --scorer, and can otherwise be combined only with --limit and --json.")
    if "summary" in given and given & _NOT_WITH_SUMMARY:
        raise bad_usage("--summary can be combined only with --by, --scorer, --as-of and --json.")
    if "by" in given and "summary" not in given:
        raise bad_usage("--by requires --summary.")
    if {"as_json", "as_csv"} <= given:
        raise bad_usage("Use either --json or --csv, not both.")
    if given & _CHOOSING and "status" in given:
        raise bad_usage("--not-passed, --lowest and --highest show succeeded scores, so leave out --status.")
    ends = given & {"lowest", "highest"}
    if len(ends) > 1 or (ends and ("scorer" not in given or "limit" in given)):
        raise bad_usage("Use one of --lowest and --highest, with --scorer and without --limit.")
    if "calls" in given and not given & {"as_json", "as_csv"}:
        raise bad_usage("--with-calls requires --json or --csv.")


async def _gaps(client: Client, project: str, scorer: str, limit: int | None, as_json: bool) -> None:
    [ref] = await refs(client, project, [scorer])
    params = {"project_id": project, "scorer_ref": ref}
    if as_json:
        await print_items(client.items("/scores/gaps", params, limit))
        return
    counted = await client.get("/scores/gaps/summary", params)
    items, more = await first_items(client, "/scores/gaps", params, limit)
    if items:
        table(["CALL", "REASON", "ERROR"], [[gap["call_id"], gap["reason"], brief_error(gap)] for gap in items])
    if more:
        note_more(len(items))
    reasons = "".join(f", {number(count)} {reason.replace('_', ' ')}" for reason, count in counted["reasons"].items())
    have = "has" if 1 in (counted["scored"], counted["calls"]) else "have"
    print_line(f"{number(counted['scored'])} of {plural(counted['calls'], 'call')} {have} a score{reasons}.")


async def _summary(
    client: Client, project: str, scorer: str | None, by: str | None, as_of: str | None, as_json: bool
) -> None:
    ref = None if scorer is None else await ref_of_scores(client, project, scorer)
    found = await client_summary.fetch(client, project, by, ref, as_of)
    if as_json:
        print_all(found)
    elif found:
        fitting_table([client_summary.comparison(found), client_summary.by_group(found)])
        if by is not None and all(item["group"] is None for item in found):
            note(await client_summary.why_no_groups(client, project, by))
    else:
        none = "No scores match." if ref is None else f"There are no scores by {ref}."
        print_line(await why_none(client, project, none, scorer, ref))


async def _csv(found: AsyncIterator[Score], calls: bool) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(CSV_COLUMNS + CALL_COLUMNS if calls else CSV_COLUMNS)
    async for score in found:
        writer.writerow(csv_row(score))


async def _table(found: AsyncIterator[Score], count: int) -> bool:
    """Print the first `count` scores. Returns whether there are any."""
    scores = [score async for score in found]
    rows = [[score["call_id"], score["scorer_name"], score["status"], brief(score)] for score in scores[:count]]
    if rows:
        table(["CALL", "SCORER", "STATUS", "RESULT"], rows)
    if len(scores) > count:
        note_more(count, "--json or --csv")
    return bool(rows)
