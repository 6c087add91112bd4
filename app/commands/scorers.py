"""callscore scorers, and scorers publish, show, try, compare and costs"""

from datetime import datetime
from typing import Any

import click

from app.client import agreement
from app.client import costs as client_costs
from app.client import scorers as client_scorers
from app.client.http import Client
from app.client.output import fitting_table, note, print_all, print_json, print_line, stdout, table
from app.client.scores import brief
from app.client.text import clean, json_line, natural
from app.commands.options import bad_usage, client_options, json_lines_option, json_option, limit_option, project_option
from app.commands.pairs import decoded, named, text_of
from app.commands.types import TIMES, Project, Time


async def list_(client: Client, project: str | None, kinds: bool, as_json: bool) -> None:
    """What `callscore scorers` does without a command."""
    if kinds:
        await _list_kinds(client, as_json)
    else:
        await _list(client, project, as_json)


async def _list(client: Client, project: str | None, as_json: bool) -> None:
    found = await client_scorers.listing(client, project)
    if as_json:
        print_all(found)
    elif found:
        # On a terminal the ref would not fit beside the description.
        split = "\n" if stdout().is_terminal else "  "
        rows = [
            [scorer["name"], scorer["kind"], f"{scorer['description'] or ''}{split}{scorer['ref']}"]
            for scorer in sorted(found, key=lambda scorer: natural(scorer["name"]))
        ]
        table(["NAME", "KIND", "DESCRIPTION AND REF"], rows, fold=True)
    else:
        print_line("There are no scorers.")


async def _list_kinds(client: Client, as_json: bool) -> None:
    found = await client_scorers.kinds(client)
    if as_json:
        print_all(found)
        return
    rows = []
    for kind in found:
        description = " ".join(str(kind["params"].get("description") or kind["description"]).split())
        rows.append([kind["kind"], "", "", "", description])
        rows.extend(["", *parameter] for parameter in client_scorers.parameters(kind["params"]))
    table(["KIND", "PARAMETER", "TYPE", "DEFAULT", "DESCRIPTION"], rows, fold=True)


@click.command()
@click.argument("name")
@click.option("--kind", required=True, help="Kind to publish, e.g. contains; list them with: callscore scorers --kinds")
@click.option(
    "--param", "pairs", metavar="K=V", multiple=True,
    help="Parameter, as JSON or plain text, or K=@FILE: that in FILE. Repeatable.",
)  # fmt: skip
@click.option("--params", metavar="JSON", help="All parameters as one JSON object, or @FILE.")
@click.option("--policy", "policies", metavar="K=V", multiple=True, help="How to run it, e.g. attempts=5. Repeatable.")
@click.option("--project", type=Project(), help="Publish it for this project only. Default: for all projects.")
@json_option("Print the scorer as JSON.")
@client_options
async def publish(
    name: str,
    kind: str,
    pairs: tuple[str, ...],
    params: str | None,
    policies: tuple[str, ...],
    project: str | None,
    as_json: bool,
    client: Client,
) -> None:
    """Publish a kind of scorer, with parameters, under NAME, and print its ref.

    Publishing the same again gives the same ref. Quote text that looks like JSON or begins with @: --param 'text="42"'.
    """
    if pairs and params is not None:
        raise bad_usage("Use either --param or --params, not both.")
    given = _object(params) if params is not None else named(pairs, "--param", files=True)
    policy = named(policies, "--policy")
    scorer = await client_scorers.publish(client, name, kind, given, project, policy)
    if as_json:
        print_json(scorer)
    else:
        print_line(clean(scorer["ref"]))
    if project is None:
        note("Published for all projects. Use --project to publish for one project only.")


@click.command()
@click.argument("scorer")
@click.option("--project", type=Project(), help="Include the scorers published for this project only.")
@client_options
async def show(scorer: str, project: str | None, client: Client) -> None:
    """Show SCORER, a name or ref, with its parameters as JSON. A name means its latest version."""
    print_json(await client_scorers.find(client, project, scorer))


@click.command("try")
@click.argument("scorer")
@click.option("--call", required=True, metavar="ID", help="Logged call to run it on.")
@project_option
@json_option("Print the whole outcome as JSON.")
@client_options
async def try_(scorer: str, call: str, project: str, as_json: bool, client: Client) -> int:
    """Run SCORER, a name or ref, once on a logged call, without storing a score.

    A judge does send its requests to the model, which cost money.
    """
    [ref] = await client_scorers.refs(client, project, [scorer])
    tried = await client_scorers.try_once(client, project, ref, call)
    if as_json:
        print_json(tried)
    else:
        _show_tried(tried)
    if tried.get("saved_since"):  # an older service does not say
        note("Its file was saved after the service had loaded it. To run the new code, restart the service.")
    return 0 if tried["status"] == "succeeded" else 1


def _show_tried(tried: dict[str, Any]) -> None:
    print_line(f"{tried['status']}: {brief(tried)}")
    if raw := tried.get("error", {}).get("raw"):
        print_line(f"Raw answer: {clean(raw, 2000)}")
    lineage = tried["lineage"]
    cost = lineage["cost"] or {}
    tokens = f", {cost['input_tokens']} + {cost['output_tokens']} tokens" if cost else ""
    usd = f", {cost['usd']:.6f} USD" if cost and cost["usd"] is not None else ""
    note(f"{lineage['latency_ms']:.0f} ms{tokens}{usd}. No score was stored.")


@click.command()
@click.argument("one")
@click.argument("other")
@project_option
@limit_option(0, 10, "Show at most N disagreements.")
@json_option("Print the comparison as JSON.")
@client_options
async def compare(one: str, other: str, project: str, limit: int, as_json: bool, client: Client) -> None:
    """Show how far two scorers, names or refs, agree on the calls that both have scored, and where they disagree."""
    refs = [await client_scorers.ref_of_scores(client, project, name) for name in (one, other)]
    pairs = await agreement.pairs(client, project, refs[0], refs[1])
    found = agreement.compare(pairs, limit)
    if as_json:
        print_json({"scorer_refs": refs, **found})
        return
    for line in agreement.lines(found):
        print_line(line)
    if counts := agreement.tables(found, one, other):
        fitting_table(counts)
    if found["disagreements"]:
        rows = [[item["call_id"], json_line(item["one"]), json_line(item["other"])] for item in found["disagreements"]]
        table(["CALL", one, other], rows, fold=True)


@click.command()
@project_option
@click.option("--since", type=Time(), metavar="TIME", help=f"Only days that start at or after TIME, {TIMES}.")
@click.option("--until", type=Time(), metavar="TIME", help="Only days that start before TIME.")
@json_lines_option
@client_options
async def costs(project: str, since: datetime | None, until: datetime | None, as_json: bool, client: Client) -> None:
    """Show the daily cost of the scorers of a project: requests, tokens, and US dollars where prices are known."""
    found = await client_costs.fetch(client, project, since, until)
    if as_json:
        print_all(found["items"])
    elif found["items"]:
        table(client_costs.HEADINGS, client_costs.rows(found), right=client_costs.NUMBERS)
    else:
        when = "" if since is until is None else " on these days"
        print_line(f"No scorer of {project} has sent requests{when}.")


def _object(text: str) -> dict[str, Any]:
    try:
        value = decoded(text_of(text, "--params"), "--params")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise bad_usage("--params must be a JSON object.")
    return value
