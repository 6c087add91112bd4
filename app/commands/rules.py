"""callscore rules list, set, pause, resume, remove, calls and requests"""

from collections.abc import Mapping
from typing import Any

import click

from app.client import rules
from app.client import scorers as client_scorers
from app.client.http import Client
from app.client.output import print_all, print_json, print_line, table
from app.client.text import number
from app.commands import listing
from app.commands.options import (
    client_options,
    json_lines_option,
    json_option,
    limit_option,
    project_option,
    table_limit_option,
)
from app.commands.pairs import readings


@click.command("list")
@project_option
@json_lines_option
@client_options
async def list_(project: str, as_json: bool, client: Client) -> None:
    """List the rules of a project, and how many calls each has matched and left out of its sample."""
    found = await rules.listing(client, project)
    if as_json:
        print_all(found)
        return
    if not found:
        print_line(f"{project} has no rules. Make one with: callscore rules set")
        return
    rows = [
        [
            rule["name"],
            rule["status"],
            number(rule["calls"]["matched"]),
            number(rule["calls"]["sampled_out"]),
            f"{rule['sample_rate'] * 100:g} %",
            rules.conditions(rule["where"]),
        ]
        for rule in found
    ]
    table(
        ["RULE", "STATUS", "MATCHED", "LEFT OUT", "SAMPLE", "CALLS WHERE"],
        rows,
        right=("MATCHED", "LEFT OUT", "SAMPLE"),
        fold=True,
    )


@click.command("set")
@click.argument("name")
@project_option
@click.option(
    "--scorer", "scorers", metavar="REF_OR_NAME", multiple=True, required=True, help="Scorer to apply. Repeatable."
)
@click.option(
    "--where", "pairs", metavar="K=V", multiple=True,
    help="Only calls with this op_name, or this value at a path such as attributes.env. Repeatable; of the values for "
    "one path a call needs any. 1.10 means the number and the text, '\"1.10\"' only the text.",
)  # fmt: skip
@click.option(
    "--sample", type=click.FloatRange(0, 1, min_open=True), default=1.0, metavar="SHARE", show_default=True,
    help="Share of these calls to score, always the same ones.",
)  # fmt: skip
@json_option("Print the rule as JSON.")
@client_options
async def set_(
    name: str,
    project: str,
    scorers: tuple[str, ...],
    pairs: tuple[str, ...],
    sample: float,
    as_json: bool,
    client: Client,
) -> None:
    """Score the calls of a project as they are logged, from now on, by the rule NAME.

    A rule of the same name is replaced. A name of a scorer means its latest version now.
    """
    where: dict[str, list[Any]] = {}
    for path, values in (readings(text, "--where") for text in pairs):
        where.setdefault(path, []).extend(values)
    refs = await client_scorers.refs(client, project, scorers)
    _show(await rules.put(client, project, name, refs, where, sample), as_json)


def _order(order: str, text: str) -> click.Command:
    """A command that changes the status of a rule."""

    @click.command(order, help=text)
    @click.argument("name")
    @project_option
    @json_option("Print the rule as JSON.")
    @client_options
    async def command(name: str, project: str, as_json: bool, client: Client) -> None:
        _show(await rules.order(client, project, name, order), as_json)

    return command


pause = _order("pause", "Let the rule NAME score no further calls until it is resumed.")
resume = _order("resume", "Let the paused rule NAME score the calls that are logged from now on.")
remove = _order("remove", "Let the rule NAME score no further calls, and list it no more.")


@click.command()
@click.argument("name")
@project_option
@click.option("--sampled", "decision", flag_value="sampled", help="Only calls that are scored.")
@click.option("--sampled-out", "decision", flag_value="sampled_out", help="Only calls left out of the sample.")
@table_limit_option
@json_lines_option
@client_options
async def calls(
    name: str, project: str, decision: str | None, limit: int | None, as_json: bool, client: Client
) -> None:
    """List the calls that the rule NAME matched, by id, and what it decided about each."""
    rule = await rules.find(client, project, name)
    path, params = f"/rules/{rule['rule_id']}/calls", {} if decision is None else {"decision": decision}
    headings, none = ("CALL", "DECISION", "AT", "REQUEST"), "There are no such calls yet."
    await listing.show(client, path, params, limit, as_json, headings, _decision, none)


def _decision(item: Mapping[str, Any]) -> list[str]:
    return [item["call_id"], item["decision"].replace("_", " "), item["at"], item["request_id"] or "-"]


@click.command()
@click.argument("name")
@project_option
@limit_option(1, 20, "List at most N.")
@json_lines_option
@client_options
async def requests(name: str, project: str, limit: int, as_json: bool, client: Client) -> None:
    """List the score requests of the rule NAME, newest first: one for each hour with calls."""
    rule = await rules.find(client, project, name)
    await listing.show_requests(client, {"rule_id": rule["rule_id"]}, limit, as_json)


def _show(rule: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(rule)
    else:
        share = "" if rule["sample_rate"] == 1 else f", {rule['sample_rate'] * 100:g} % of them"
        print_line(f"{rule['name']} is {rule['status']}: {rules.conditions(rule['where'])}{share}")
