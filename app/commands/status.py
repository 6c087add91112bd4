"""callscore status"""

from typing import Any

import click

from app.client import costs, requests
from app.client.errors import Unreachable
from app.client.http import Client
from app.client.output import note, print_json, print_line
from app.client.tasks import TERMINAL, name_of, reasons, share, waits
from app.client.text import clean, number, plural
from app.commands.listing import show_requests
from app.commands.options import bad_usage, client_options, json_lines_option, limit_option


@click.command()
@click.argument("request_id", required=False)
@click.option("--cancel", is_flag=True, help="Cancel the tasks of the request that have not ended.")
@click.option("--retry", is_flag=True, help="Retry the tasks of the request that failed or were cancelled.")
@click.option(
    "--scorer", "scorers", metavar="REF_OR_NAME", multiple=True,
    help="With --retry: only tasks of this scorer. Repeatable.",
)  # fmt: skip
@click.option(
    "--error", "errors", metavar="TYPE", multiple=True,
    help="With --retry: only tasks that failed with this error. Repeatable.",
)  # fmt: skip
@click.option("--watch", is_flag=True, help="Show progress until the request is finished.")
@limit_option(1, 20, "Without REQUEST_ID: list at most N.")
@json_lines_option
@client_options
async def status(
    request_id: str | None,
    cancel: bool,
    retry: bool,
    scorers: tuple[str, ...],
    errors: tuple[str, ...],
    watch: bool,
    limit: int,
    as_json: bool,
    client: Client,
) -> int:
    """List the newest score requests, or show, watch, cancel or retry one."""
    if request_id is None and (cancel or retry or watch):
        raise bad_usage("--cancel, --retry and --watch require a REQUEST_ID.")
    if cancel and retry:
        raise bad_usage("Use either --cancel or --retry, not both.")
    if not retry and (scorers or errors):
        raise bad_usage("--scorer and --error require --retry.")
    if request_id is None:
        await show_requests(client, {}, limit, as_json)
        return 0
    if cancel:
        await requests.cancel(client, request_id)
    elif retry:
        await requests.retry(client, request_id, scorers, errors)
    try:
        return await _one(client, request_id, watch, as_json)
    except Unreachable:
        if cancel or retry:
            note(f"The {'cancel' if cancel else 'retry'} was accepted, but the state of the request is unknown.")
        raise


async def _one(client: Client, request_id: str, watch: bool, as_json: bool) -> int:
    if watch:
        [request] = await requests.watch(client, [request_id])
    else:
        request = await requests.find(client, request_id)
    if as_json:
        print_json(request)
    else:
        _show(request, await reasons(client, [request]), await waits(client, request))
    return 1 if watch and request["tasks"]["failed"] + request["tasks"]["cancelled"] else 0


def _show(request: dict[str, Any], reasons: list[str], waits: list[str]) -> None:
    tasks = request["tasks"]
    done = sum(tasks[state] for state in TERMINAL)
    states = [f"{number(count)} {name_of(name)}" for name, count in tasks.items() if count and name != "total"]
    lines = [
        ("request", request["request_id"]),
        ("project", request["project_id"]),
        ("status", request["status"]),
        ("progress", f"{number(done)} of {plural(tasks['total'], 'task')} ({share(tasks)})"),
        ("tasks", ", ".join(states) or "none"),
        *(("failed", line) for line in reasons),
        *(("waiting", line) for line in waits),
        ("requested by", request["requested_by"] or "anyone"),
        ("requested at", request["requested_at"]),
        ("finished at", request["finished_at"] or "not yet"),
        *(("scorer", ref) for ref in request["scorer_refs"]),
        *(("cost", costs.brief(cost)) for cost in [request.get("cost")] if cost is not None),
    ]
    if request["status"] == "running":
        rate = request.get("rate")
        lines.append(("rate", f"{rate:,.15g} tasks/s" if isinstance(rate, int | float) else "unknown"))
        lines.append(("expected at", str(request.get("eta") or "unknown")))
    for name, value in lines:
        print_line(f"{name:<12} {clean(str(value))}")
