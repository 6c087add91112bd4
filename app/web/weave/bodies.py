"""Bodies on Weave's own paths: JSON objects whose unknown fields are ignored.

The SDK sends fields that its servers do not know yet, and null for fields that are left out.
"""

from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from app.web.bodies import TOO_MANY, Decode, decode, read_object, with_fewer_mistakes
from app.web.errors import ApiError, Detail, check_id, detail, invalid, problem

Model = TypeVar("Model", bound=BaseModel)
Item = TypeVar("Item")

Listed = Annotated[list[Item], Field(fail_fast=True)]
"""A list in a body. Only its first mistake is reported, since finding all could take long."""


async def read(request: web.Request, model: type[Model], decode: Decode = decode) -> Model:
    """The body. Raises ApiError 422 that names the first mistake; 413 if that is a list with too many items."""
    try:
        return model.model_validate(with_fewer_mistakes(model, await read_object(request, decode)))
    except ValidationError as error:
        first = first_mistake(error)
        raise problem(413 if first["type"] == TOO_MANY else 422, ["body"], first["msg"], "invalid") from None


def first_mistake(error: ValidationError, *prefix: str) -> Detail:
    """The first of pydantic's errors, with a `msg` that begins with its place, behind `prefix`."""
    first = invalid(error, *prefix).details[0]
    return detail(first["loc"], f"{'.'.join(map(str, first['loc']))}: {first['msg']}", first["type"])


def checked_id(value: Any, name: str) -> str:
    """`value`, if it can be an id. Raises ApiError 422."""
    if not isinstance(value, str):
        raise problem(422, ["body", name], f"{name} must be a string", "invalid_id")
    return check_id(value, f"{name}: an id", "body", name)


def bad_request(reason: str, status: int = 400) -> ApiError:
    """An error about a body."""
    return problem(status, ["body"], reason, "invalid")
