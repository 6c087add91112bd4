"""--project, checked before anything is sent."""

from typing import Any

import click

from app import ids


class Project(click.ParamType):
    """`entity/name`, as Weave names projects."""

    name = "entity/name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        entity, slash, name = str(value).partition("/")
        if not (entity and slash and name) or "/" in name:
            self.fail(f"{value!r} is not entity/name.", param, ctx)
        try:
            return ids.check_id(str(value))
        except ids.BadId as error:
            self.fail(f"A project {error}.", param, ctx)


project_option = click.option("--project", type=Project(), required=True, help="The project, as entity/name.")
