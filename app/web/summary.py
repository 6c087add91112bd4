"""`GET /scores/summary`: how the scores of each scorer are distributed."""

import re
from typing import Annotated, Any

import orjson
from aiohttp import web
from anyio import to_process
from pydantic import StringConstraints

from app.scorers import scorer_name
from app.slices import Turns
from app.web.as_of import AsOf, settled
from app.web.auth import check_read
from app.web.distributions import StringBudget, Summary, describe_numbers
from app.web.errors import problem
from app.web.paging import sweep
from app.web.queries import Id, Query, Ref, parse
from app.web.responses import json_response
from app.web.scores import latest
from tables import scores
from tables.scores import Filters

MAX_GROUPS = 1_000
SORTED_HERE = 4_000  # numbers; sorting more would hold the event loop for longer than a few milliseconds

Groups = dict[tuple[str, str | None], Summary]


class SummaryQuery(Query):
    project_id: Id
    scorer_ref: Ref | None = None
    op_name: str | None = None
    as_of: AsOf = None
    group_by: Annotated[str, StringConstraints(pattern=re.compile(r"^(op_name|(attributes|inputs)\..+)$"))] | None = (
        None
    )


async def summarize_scores(request: web.Request) -> web.Response:
    """Per scorer ref and group: what succeeded and failed, and per leaf path of the outputs their distribution."""
    query = parse(SummaryQuery, request)
    check_read(request, query.project_id)
    turns = Turns()
    groups: Groups = {}
    budget = StringBudget()
    filters: Filters = {
        "scorer_ref": query.scorer_ref and await latest(request, query.project_id, query.scorer_ref),
        "op_name": query.op_name,
        "as_of": await settled(query.as_of),
    }
    async for page in sweep(scores.outcomes, query.project_id, filters, query.group_by):
        for _, (ref, group, succeeded, value) in page["items"]:
            _summary(groups, budget, ref, _text(group)).add(succeeded, value)
            await turns.breathe()
    items = []
    for (ref, group), summary in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        items.append(await _describe(ref, group, summary))
        await turns.breathe()
    return json_response({"items": items})


def _summary(groups: Groups, budget: StringBudget, ref: str, group: str | None) -> Summary:
    found = groups.get((ref, group))
    if found is None:
        if len(groups) >= MAX_GROUPS:
            message = f"There are more than {MAX_GROUPS} scorers and groups; name a scorer, or group by something else"
            raise problem(422, ["query", "group_by"], message, "too_many_groups")
        found = groups[ref, group] = Summary(budget)
    return found


def _text(group: Any) -> str | None:
    return group if group is None or isinstance(group, str) else orjson.dumps(group).decode()


async def _describe(ref: str, group: str | None, summary: Summary) -> dict[str, Any]:
    outputs = {}
    for path in sorted(summary.paths):
        distribution = summary.paths[path]
        numbers = distribution.numbers
        described: dict[str, Any] | None
        if len(numbers) > SORTED_HERE:
            described = await to_process.run_sync(describe_numbers, numbers)
        else:
            described = describe_numbers(numbers) if numbers else None
        outputs[path] = distribution.describe(described)
    return {
        "scorer_ref": ref,
        "scorer_name": scorer_name(ref),
        "group": group,
        "succeeded": summary.succeeded,
        "failed": summary.failures.total(),
        "failures": dict(summary.failures.most_common()),
        "outputs": outputs,
        "outputs_complete": not summary.paths_left_out,
    }
