"""Types of options and arguments, checked before anything is sent or written."""

import re
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock

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


TIMES = "e.g. 2026-01-31T12:00:00Z, 2026-01-31 or 2h (ago)"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(rf"(\d+)([{''.join(_UNITS)}])", re.ASCII)


class Time(click.ParamType):
    """A time with a zone; a date, for its midnight in UTC; or how long ago it was."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        text = str(value)
        try:
            if ago := _AGO.fullmatch(text):
                return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            time = datetime.fromisoformat(text)
            if time.tzinfo is not None:
                return time
            return datetime.combine(date.fromisoformat(text), clock(), UTC)  # a time is no date
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is not a time with a zone, a date or a duration, {TIMES}.", param, ctx)
