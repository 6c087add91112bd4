"""callscore scorers, and scorers publish, show, try, compare and costs"""

import asyncio
import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

import click
import orjson

from app.commands.projects import Project, project_option
from app.commands.service_options import service_options
from app.commands.times import Time

if TYPE_CHECKING:
    from app.client.http import Service


@click.group(invoke_without_command=True)
@click.option("--project", type=Project(), help="Also list what was published for this project.")
@click.option("--kinds", is_flag=True, help="List the kinds that can be published, and their parameters.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@service_options
@click.pass_context
def scorers(context: click.Context, project: str | None, kinds: bool, as_json: bool, service: "Service") -> None:
    """List the scorers that can be used, or publish one."""
    if context.invoked_subcommand is None:
        asyncio.run(_kinds(service, as_json) if kinds else _list(service, project, as_json))


@scorers.command()
@click.argument("name")
@click.option("--kind", required=True, help="One that callscore scorers --kinds lists, e.g. contains.")
@click.option("--param", "pairs", metavar="K=V", multiple=True, help="A parameter: JSON, else text. Repeatable.")
@click.option("--params", metavar="JSON", help="All parameters as one JSON object.")
@click.option("--policy", "policies", metavar="K=V", multiple=True, help="How it is run, e.g. attempts=5. Repeatable.")
@click.option("--project", type=Project(), help="Publish it for this project only. Default: all projects.")
@click.option("--json", "as_json", is_flag=True, help="Print the scorer as JSON.")
@service_options
def publish(
    name: str,
    kind: str,
    pairs: tuple[str, ...],
    params: str | None,
    policies: tuple[str, ...],
    project: str | None,
    as_json: bool,
    service: "Service",
) -> None:
    """Give a kind of scorer, with its parameters, the name NAME.

    Publishing the same again gives the same ref. For a text that reads like JSON, write --param 'text="42"'.
    """
    if pairs and params is not None:
        raise click.UsageError("Give --param or --params, not both.", click.get_current_context())
    given = _object(params) if params is not None else _named(pairs, "--param")
    policy = _named(policies, "--policy")
    asyncio.run(_publish(service, name, kind, given, policy, project, as_json))


@scorers.command()
@click.argument("scorer")
@click.option("--project", type=Project(), help="Whose scorers are meant too. Default: only everybody's.")
@service_options
def show(scorer: str, project: str | None, service: "Service") -> None:
    """The scorer with the name or ref SCORER and its parameters, as JSON; of a name the latest version."""
    asyncio.run(_show(service, scorer, project))


@scorers.command("try")
@click.argument("scorer")
@click.option("--call", required=True, metavar="ID", help="The logged call to run it on.")
@project_option
@click.option("--json", "as_json", is_flag=True, help="Print all that came of it as JSON.")
@service_options
def try_(scorer: str, call: str, project: str, as_json: bool, service: "Service") -> int:
    """Run SCORER, a name or a ref, once on a logged call. Nothing is recorded; a judge is asked, and paid."""
    return asyncio.run(_try(service, project, scorer, call, as_json))


@scorers.command()
@click.argument("one")
@click.argument("other")
@project_option
@click.option("--limit", type=click.IntRange(min=0), default=10, show_default=True, help="Disagreements to show.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@service_options
def compare(one: str, other: str, project: str, limit: int, as_json: bool, service: "Service") -> None:
    """How far two scorers, by name or ref, agree on the calls that both have scored, and where they do not."""
    asyncio.run(_compare(service, project, one, other, limit, as_json))


@scorers.command()
@project_option
@click.option("--since", type=Time(), metavar="TIME", help="Only days that began then or later.")
@click.option("--until", type=Time(), metavar="TIME", help="Only days that began before then.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@service_options
def costs(project: str, since: datetime | None, until: datetime | None, as_json: bool, service: "Service") -> None:
    """What the scorers of a project have cost, day by day: tokens, and US dollars where prices are known."""
    asyncio.run(_costs(service, project, since, until, as_json))


def _object(text: str) -> dict[str, Any]:
    try:
        value = _json(text, "--params")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise click.UsageError("--params must be a JSON object.", click.get_current_context())
    return value


def _json(text: str, option: str) -> Any:
    """The value of a text that is JSON, which NaN and Infinity are not. Raises ValueError."""
    value = json.loads(text, parse_constant=_no_json, parse_float=_finite)
    try:
        orjson.dumps(value)
    except TypeError as error:
        raise click.UsageError(f"{option} cannot be sent: {error}.", click.get_current_context()) from None
    return value


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_json(text)


def _no_json(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _named(pairs: tuple[str, ...], option: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in (_pair(pair, option) for pair in pairs):
        if name in found:
            raise click.UsageError(f"{option} {name} is given twice.", click.get_current_context())
        found[name] = value
    return found


def _pair(pair: str, option: str) -> tuple[str, Any]:
    name, equals, text = pair.partition("=")
    if not (name and equals):
        raise click.UsageError(f"{option} must be name=value, not {pair!r}.", click.get_current_context())
    try:
        return name, _json(text, f"{option} {name}")
    except ValueError:
        return name, text


async def _list(service: "Service", project: str | None, as_json: bool) -> None:
    from app.client.http import Client
    from app.client.output import note, say, stdout, table
    from app.client.scorers import listing
    from app.client.text import json_line

    async with Client(service, on_wait=note) as client:
        found = await listing(client, project)
    if as_json:
        for scorer in found:
            say(json_line(scorer))
    elif found:
        # The ref on a line of its own on a terminal, where it would not fit beside the description.
        split = "\n" if stdout().is_terminal else "  "
        rows = [
            [scorer["name"], scorer["kind"], f"{scorer['description'] or ''}{split}{scorer['ref']}"] for scorer in found
        ]
        table(["NAME", "KIND", "DESCRIPTION AND REF"], rows, fold=True)
    else:
        say("There are no scorers.")


async def _kinds(service: "Service", as_json: bool) -> None:
    from app.client.http import Client
    from app.client.output import note, say, table
    from app.client.scorers import kinds, parameters
    from app.client.text import json_line

    async with Client(service, on_wait=note) as client:
        found = await kinds(client)
    if as_json:
        for kind in found:
            say(json_line(kind))
        return
    rows = []
    for kind in found:
        about = " ".join(str(kind["params"].get("description") or kind["description"]).split())
        rows.append([kind["kind"], "", "", "", about])
        rows.extend(["", *parameter] for parameter in parameters(kind["params"]))
    table(["KIND", "PARAMETER", "TYPE", "DEFAULT", "DESCRIPTION"], rows, fold=True)


async def _publish(
    service: "Service",
    name: str,
    kind: str,
    params: dict[str, Any],
    policy: dict[str, Any],
    project: str | None,
    as_json: bool,
) -> None:
    from app.client import scorers as client_scorers
    from app.client.http import Client
    from app.client.output import note, say
    from app.client.text import clean, json_line

    async with Client(service, on_wait=note) as client:
        scorer = await client_scorers.publish(client, name, kind, params, project, policy)
    say(json_line(scorer) if as_json else clean(scorer["ref"]))
    if project is None:
        note("Published for all projects; with --project it would be for one only.")


async def _show(service: "Service", wanted: str, project: str | None) -> None:
    from app.client import scorers as client_scorers
    from app.client.http import Client
    from app.client.output import note, say
    from app.client.text import json_line

    async with Client(service, on_wait=note) as client:
        say(json_line(await client_scorers.find(client, project, wanted)))


async def _try(service: "Service", project: str, scorer: str, call: str, as_json: bool) -> int:
    from app.client import scorers as client_scorers
    from app.client.http import Client
    from app.client.output import note, say
    from app.client.scores import brief
    from app.client.text import clean, json_line

    async with Client(service, on_wait=note) as client:
        [ref] = await client_scorers.refs(client, project, [scorer])
        tried = await client_scorers.try_once(client, project, ref, call)
    if as_json:
        say(json_line(tried))
    else:
        say(f"{tried['status']}: {brief(tried)}")
        if raw := tried.get("error", {}).get("raw"):
            say(f"It answered: {clean(raw, 2000)}")
        lineage = tried["lineage"]
        cost = lineage["cost"] or {}
        tokens = f", {cost['input_tokens']} + {cost['output_tokens']} tokens" if cost else ""
        usd = f", {cost['usd']:.6f} USD" if cost and cost["usd"] is not None else ""
        note(f"{lineage['latency_ms']:.0f} ms{tokens}{usd}. Nothing was recorded.")
    return 0 if tried["status"] == "succeeded" else 1


async def _compare(service: "Service", project: str, one: str, other: str, limit: int, as_json: bool) -> None:
    from app.client import agreement
    from app.client import scorers as client_scorers
    from app.client.http import Client
    from app.client.output import note, say, table
    from app.client.text import json_line

    async with Client(service, on_wait=note) as client:
        refs = [await client_scorers.ref_of_scores(client, project, name) for name in (one, other)]
        pairs = await agreement.pairs(client, project, refs[0], refs[1])
    found = agreement.compare(pairs, limit)
    if as_json:
        say(json_line({"scorer_refs": refs, **found}))
        return
    for line in agreement.lines(found):
        say(line)
    headings, rows = agreement.table(found, one, other)
    if rows:
        table(headings, rows)
    if found["disagreements"]:
        rows = [[item["call_id"], json_line(item["one"]), json_line(item["other"])] for item in found["disagreements"]]
        table(["CALL", one, other], rows, fold=True)


async def _costs(
    service: "Service", project: str, since: datetime | None, until: datetime | None, as_json: bool
) -> None:
    from app.client import costs
    from app.client.http import Client
    from app.client.output import note, say, table
    from app.client.text import json_line

    async with Client(service, on_wait=note) as client:
        found = await costs.fetch(client, project, since, until)
    when = "" if since is until is None else " on a day that began then"
    if as_json:
        for item in found["items"]:
            say(json_line(item))
    elif found["items"]:
        table(costs.HEADINGS, costs.rows(found), right=costs.NUMBERS)
    else:
        say(f"No scorer of {project} has asked anybody{when}.")
