"""callscore status"""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from app.commands.service_options import service_options

if TYPE_CHECKING:
    from app.client.http import Service


@click.command()
@click.argument("request_id", required=False)
@click.option("--cancel", is_flag=True, help="Withdraw what has not ended of the request.")
@click.option("--retry", is_flag=True, help="Try again what failed or was cancelled of it.")
@click.option("--scorer", "scorers", metavar="REF_OR_NAME", multiple=True, help="With --retry: only these. Repeatable.")
@click.option("--error", "errors", metavar="TYPE", multiple=True, help="With --retry: only what failed so. Repeatable.")
@click.option("--watch", is_flag=True, help="Show its progress until it is finished.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many to list.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@service_options
def status(
    request_id: str | None,
    cancel: bool,
    retry: bool,
    scorers: tuple[str, ...],
    errors: tuple[str, ...],
    watch: bool,
    limit: int,
    as_json: bool,
    service: "Service",
) -> int:
    """How score requests stand: the newest, or one in full; also cancels one, or tries it again."""
    if request_id is None and (cancel or retry or watch):
        raise click.UsageError("Name the request.", click.get_current_context())
    if cancel and retry:
        raise click.UsageError("Choose one of --cancel and --retry.", click.get_current_context())
    if not retry and (scorers or errors):
        raise click.UsageError("--scorer and --error go with --retry.", click.get_current_context())
    if request_id is None:
        asyncio.run(_list(service, limit, as_json))
        return 0
    order = "cancel" if cancel else "retry" if retry else None
    return asyncio.run(_one(service, request_id, order, scorers, errors, watch, as_json))


async def _list(service: "Service", limit: int, as_json: bool) -> None:
    from app.client.http import Client
    from app.client.output import note, say, stdout, table
    from app.client.text import json_line, number

    async with Client(service, on_wait=note) as client:
        found = [request async for request in client.items("/score-requests", {}, limit)]
    if as_json:
        for request in found:
            say(json_line(request))
        return
    if not found:
        say("There are no score requests; make one with: callscore submit")
        return
    # Two lines a request on a terminal, so that the long ids leave room at 80 columns.
    split = "\n" if stdout().is_terminal else "  "
    rows = [
        [
            f"{request['request_id']}{split}{request['project_id']}",
            request["status"],
            _share(request["tasks"]),
            number(request["tasks"]["total"]),
            number(request["tasks"]["failed"]),
            _age(request["requested_at"]),
        ]
        for request in found
    ]
    headings = ["REQUEST", "STATUS", "DONE", "TASKS", "FAILED", "AGE"]
    table(headings, rows, right=("DONE", "TASKS", "FAILED", "AGE"))


async def _one(
    service: "Service",
    request_id: str,
    order: str | None,
    scorers: tuple[str, ...],
    errors: tuple[str, ...],
    watch: bool,
    as_json: bool,
) -> int:
    from app.client import requests
    from app.client.errors import Unreachable
    from app.client.http import Client
    from app.client.output import note, say
    from app.client.text import json_line

    async with Client(service, on_wait=note) as client:
        if order == "cancel":
            await requests.cancel(client, request_id)
        elif order == "retry":
            await requests.retry(client, request_id, scorers, errors)
        try:
            if watch:
                (request,) = await requests.watch(client, [request_id])
            else:
                request = await requests.find(client, request_id)
        except Unreachable:
            if order is not None:
                note(f"The order to {order} it is taken; how it stands is not known.")
            raise
        reasons = [] if as_json else await requests.reasons(client, [request])
        waits = [] if as_json else await requests.waits(client, request)
    if as_json:
        say(json_line(request))
    else:
        _show(request, reasons, waits)
    return 1 if watch and request["tasks"]["failed"] + request["tasks"]["cancelled"] else 0


def _show(request: dict[str, Any], reasons: list[str], waits: list[str]) -> None:
    from app.client import costs
    from app.client.output import say
    from app.client.requests import TERMINAL, name_of
    from app.client.text import clean, number, plural

    tasks = request["tasks"]
    done = sum(tasks[state] for state in TERMINAL)
    states = [f"{number(count)} {name_of(name)}" for name, count in tasks.items() if count and name != "total"]
    lines = [
        ("request", request["request_id"]),
        ("project", request["project_id"]),
        ("status", request["status"]),
        ("progress", f"{number(done)} of {plural(tasks['total'], 'task')} ({_share(tasks)})"),
        ("tasks", ", ".join(states) or "none"),
        *(("failed", line) for line in reasons),
        *(("waiting", line) for line in waits),
        ("asked by", request["requested_by"] or "anyone"),
        ("asked at", request["requested_at"]),
        ("finished at", request["finished_at"] or "not yet"),
        *(("scorer", ref) for ref in request["scorer_refs"]),
        *(("cost", costs.brief(cost)) for cost in [request.get("cost")] if cost is not None),
    ]
    if request["status"] == "running":
        rate = request.get("rate")
        lines.append(("rate", f"{rate:,.15g} tasks/s" if isinstance(rate, int | float) else "unknown"))
        lines.append(("expected at", str(request.get("eta") or "unknown")))
    for name, value in lines:
        say(f"{name:<12} {clean(str(value))}")


def _share(tasks: dict[str, Any]) -> str:
    done = int(tasks["succeeded"]) + int(tasks["failed"]) + int(tasks["cancelled"])
    return f"{100 * done // tasks['total'] if tasks['total'] else 100} %"


def _age(moment: str) -> str:
    age = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if age >= length:
            return f"{age // length:.0f}{unit}"
    return f"{max(age, 0):.0f}s"
