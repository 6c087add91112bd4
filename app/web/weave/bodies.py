"""Bodies on Weave's own paths: JSON objects whose unknown fields are ignored.

The SDK sends fields that its servers do not know yet, and null for fields that are left out.
"""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from app.web.bodies import Decode, decode, read_object, with_fewer_fields
from app.web.errors import ApiError, check_id, problem

Model = TypeVar("Model", bound=BaseModel)
Item = TypeVar("Item")
_TOO_MANY = "too_many"

Listed = Annotated[list[Item], Field(fail_fast=True)]
"""A list in a body. Only its first mistake is reported, since finding all could take long."""


@dataclass(frozen=True)
class AtMost:
    """Refuses a longer list with 413, before any of its items is validated."""

    limit: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"maxItems": self.limit}

    def _check(self, value: Any) -> Any:
        if isinstance(value, list) and len(value) > self.limit:
            raise PydanticCustomError(_TOO_MANY, f"it has {len(value)} items, more than {self.limit}; nothing was kept")
        return value


async def read(request: web.Request, model: type[Model], decode: Decode = decode) -> Model:
    """The body. Raises ApiError 422 that names the first mistake; 413 if that is a list with too many items."""
    try:
        return model.model_validate(with_fewer_fields(model, await read_object(request, decode)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        status = 413 if first["type"] == _TOO_MANY else 422
        raise problem(status, ["body"], f"{where}: {first['msg']}", "invalid") from None


def checked_id(value: Any, name: str) -> str:
    """`value`, if it can be an id. Raises ApiError 422."""
    if not isinstance(value, str):
        raise problem(422, ["body", name], f"{name} must be a string", "invalid_id")
    return check_id(value, f"{name}: an id", "body", name)


def bad_request(reason: str, status: int = 400) -> ApiError:
    """An error about a body."""
    return problem(status, ["body"], reason, "invalid")
