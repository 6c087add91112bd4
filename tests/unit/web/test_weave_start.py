"""What Weave's SDK asks as it starts is answered, and tells nobody of projects that their key may not use."""

from pathlib import Path
from typing import Any

import pytest

from app.keys import add_key
from tests.unit.web.client import Client

PROJECT = (
    "query Project($name: String!, $entityName: String!) { project(name: $name, entityName: $entityName) { name } }"
)
UPSERT = "mutation UpsertModel($name: String!) { upsertModel(input: {name: $name}) { model { name description } } }"
VIEWER = "query DefaultEntity { viewer { username defaultEntity { name } } }"


def asked(client: Client, query: str, key: str = "", **variables: Any) -> Any:
    answer = client.post("/graphql", {"query": query, "variables": variables}, Authorization=f"Bearer {key}")
    assert answer.status == 200, answer.raw
    return answer.json


def test_the_versions_are_told(client: Client) -> None:
    told = client.get("/server_info").json
    assert told == {"min_required_weave_python_version": "0.51.0", "trace_server_version": "0.1.0"}


def test_a_project_is_there_for_who_may_use_it_and_is_made_for_nobody_else(locked: Client, key_path: Path) -> None:
    key = add_key(key_path, "ann", ["acme/*"])
    assert asked(locked, PROJECT, key, entityName="acme", name="flow") == {"data": {"project": {"name": "flow"}}}
    assert asked(locked, PROJECT, key, entityName="others", name="flow") == {"data": {"project": None}}
    made = asked(locked, UPSERT, key, entity="acme", name="new", description=None)
    assert made == {"data": {"upsertModel": {"model": {"name": "new", "description": None}}}}
    [error] = asked(locked, UPSERT, key, entity="others", name="new")["errors"]
    assert error["message"] == "This key may not use this project"


@pytest.mark.parametrize(
    ("globs", "entity"), [(["acme/*"], "acme"), (["acme/a", "acme/b"], "acme"), (["*"], "ann"), (["a/x", "b/y"], "ann")]
)
def test_an_entity_left_out_is_that_of_all_projects_of_the_key_or_the_users_name(
    locked: Client, key_path: Path, globs: list[str], entity: str
) -> None:
    key = add_key(key_path, "ann", globs)
    viewer = asked(locked, VIEWER, key)["data"]["viewer"]
    assert viewer == {"username": "ann", "defaultEntity": {"name": entity}}


def test_without_keys_the_entity_is_the_one_of_the_readme(client: Client) -> None:
    assert asked(client, VIEWER)["data"]["viewer"]["defaultEntity"] == {"name": "me"}


def test_other_graphql_is_refused_in_graphqls_own_way(client: Client) -> None:
    answer = asked(client, "query { artifacts { name } }")
    assert answer["data"] is None
    assert "only answers the GraphQL queries" in answer["errors"][0]["message"]
    refused = client.post("/graphql", ["query"])
    assert refused.status == 422
    assert refused.json["reason"]
