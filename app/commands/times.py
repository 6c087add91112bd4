"""A time on the command line, checked before anything is sent."""

from datetime import datetime

import click


class Time(click.ParamType):
    """A time with its zone."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            self.fail(f"{value!r} is not a time with its zone, such as 2026-01-31T12:00:00Z.", param, ctx)
        return found
