"""Types of options and arguments, checked before anything is sent or written."""

from datetime import datetime

import click

from app import ids


class Id(click.ParamType):
    """A name that callscore can store: of a user, or a glob of projects."""

    name = "name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return ids.check_id(str(value))
        except ids.BadId as error:
            self.fail(f"It {error}.", param, ctx)


class Project(Id):
    """`entity/name`, as Weave names projects."""

    name = "entity/name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        parts = str(value).split("/")
        if len(parts) != 2 or not all(parts):
            self.fail(f"{value!r} is not entity/name.", param, ctx)
        return super().convert(value, param, ctx)


class Time(click.ParamType):
    """A time with a zone."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            time = datetime.fromisoformat(str(value))
        except ValueError:
            time = None
        if time is None or time.tzinfo is None:
            self.fail(f"{value!r} is not a time with a zone, such as 2026-01-31T12:00:00Z.", param, ctx)
        return time
