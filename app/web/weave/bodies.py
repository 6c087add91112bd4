"""Bodies on Weave's own paths: JSON objects of which fields that are not known are passed over.

The SDK sends what its servers do not know yet, and nulls for what is left out.
"""

from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from app import ids
from app.web.bodies import Decode, decode, read_object
from app.web.errors import problem

Model = TypeVar("Model", bound=BaseModel)


async def read(request: web.Request, model: type[Model], decode: Decode = decode) -> Model:
    """The body. Raises ApiError 422 that names the first mistake."""
    try:
        return model.model_validate(await read_object(request, decode))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise problem(422, ["body"], f"{where}: {first['msg']}", "invalid") from None


def checked_id(value: Any, name: str) -> str:
    """`value`, if it can be an id. Raises ApiError 422."""
    if not isinstance(value, str):
        raise problem(422, ["body", name], f"{name}: a text is needed", "invalid_id")
    try:
        return ids.check_id(value)
    except ids.BadId as error:
        raise problem(422, ["body", name], f"{name}: an id {error}", "invalid_id") from None
