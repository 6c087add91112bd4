"""Descriptions made from the models that handlers validate with, so that the two cannot differ."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from app.web.openapi.schemas import STRING, Schema
from app.web.queries import Query

_NULL: Schema = {"type": "null"}


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles that pydantic makes from field names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def parameter(name: str, schema: Schema = STRING, where: str = "query", required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": where, "required": required, "schema": schema}


def parameters_of(model: type[Query]) -> list[dict[str, Any]]:
    """The query parameters that a model takes."""
    described = model.model_json_schema(schema_generator=_Untitled)
    required = described.get("required", ())
    return [
        parameter(name, _without_null(schema), required=name in required)
        for name, schema in described["properties"].items()
    ]


def schemas_of(models: Iterable[type[BaseModel]]) -> dict[str, Schema]:
    """The schemas of bodies, and of all models in them, by name."""
    _, described = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Untitled,
    )
    schemas: dict[str, Schema] = described["$defs"]
    return schemas


def _without_null(schema: Schema) -> Schema:
    """The schema without null, which a query string cannot say."""
    options = [option for option in schema.get("anyOf", ()) if option != _NULL]
    kept = {name: value for name, value in schema.items() if name != "anyOf" and (name, value) != ("default", None)}
    return {**(options[0] if options else {}), **kept}
