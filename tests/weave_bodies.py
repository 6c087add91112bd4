"""Checks bodies of requests against the types of Weave's own client, in its environment. Takes {path: bodies} as JSON.

Prints what is wrong with them.
"""

import json
import sys
from typing import Any, Required, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from weave.vendor.weave_server_sdk import types
from weave.vendor.weave_server_sdk.types import feedback_batch_create_params, object_create_params, shared
from weave.vendor.weave_server_sdk.types.call_stream_query_params import Filter, SortBy

SHAPES = {
    "/calls/stream_query": types.CallStreamQueryParams,
    "/feedback/query": types.FeedbackQueryParams,
    "/feedback/batch/create": types.FeedbackBatchCreateParams,
    "/feedback/purge": types.FeedbackPurgeParams,
    "/obj/create": types.ObjectCreateParams,
    "/obj/read": types.ObjectReadParams,
}
INNER = {
    "filter": Filter,
    "sort_by": SortBy,
    "batch": feedback_batch_create_params.Batch,
    "obj": object_create_params.Obj,
}
OPERATIONS = {
    "$and": shared.AndOperation,
    "$or": shared.OrOperation,
    "$eq": shared.EqOperation,
    "$gt": shared.GtOperation,
    "$gte": shared.GteOperation,
    "$in": shared.InOperation,
}


def mistakes(body: dict[str, Any], shape: Any) -> list[str]:
    known = get_type_hints(shape, include_extras=True)
    required = {name for name, kind in known.items() if get_origin(kind) is Required}
    found = [f"{name} is missing" for name in required - set(body)]
    found += [f"{name} is unknown" for name in set(body) - set(known)]
    for name, value in body.items():
        if name == "query":
            found += mistaken_query(value["$expr"])
        elif name in INNER:
            for each in value if isinstance(value, list) else [value]:
                found += mistakes(each, INNER[name])
    return found


def mistaken_query(expression: dict[str, Any]) -> list[str]:
    [operator] = expression
    try:
        TypeAdapter(OPERATIONS[operator]).validate_python(expression)
    except ValidationError as error:
        return [str(error)]
    return []


if __name__ == "__main__":
    given = json.load(sys.stdin)
    print(
        json.dumps([each for path, bodies in given.items() for body in bodies for each in mistakes(body, SHAPES[path])])
    )
