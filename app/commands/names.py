"""A name on the command line that callscore can keep, checked before anything is done."""

from typing import Any

import click

from app import ids


class Name(click.ParamType):
    """A user, or a glob of projects."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return ids.check_id(str(value))
        except ids.BadId as error:
            self.fail(f"It {error}.", param, ctx)
