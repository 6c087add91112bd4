"""Turning JSON lines into calls."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from app import ids
from app.client.errors import BadInput
from app.paths import ABSENT, at

MAX_CALL_BYTES = 1 << 20
EPOCH = "1970-01-01T00:00:00Z"
_MILLISECONDS_FROM = 1e11  # as seconds, this is in the year 5138


class BadLine(ValueError):
    """The line cannot become a call; the message says why."""


class NoOutput(BadLine):
    """The line has no such field for the output."""


@dataclass(frozen=True)
class Fields:
    """Which field of a line becomes what of a call: a name or dotted path, in which a number is a list index.

    Inputs and attributes are named after the last name of their path. The same line always gives the same bytes.
    """

    project: str
    id: str | None = None
    inputs: tuple[str, ...] = ()
    output: str = "output"
    exception: str | None = None
    op_name: str = "imported"
    op_name_field: str | None = None
    attributes: tuple[str, ...] = ()
    started_at: str | None = None
    ended_at: str | None = None

    def __post_init__(self) -> None:
        for what, paths in (("--input", self.inputs), ("--attribute", self.attributes)):
            names = [_name(path) for path in paths]
            for name in names:
                if names.count(name) > 1:
                    raise BadInput(f"Two fields of {what} would both be named {name!r}.")

    def call(self, line: bytes, seen: "Seen | None" = None) -> bytes:
        """The call of one line, as JSON for `calls/complete`. Adds the line to `seen`. Raises BadLine."""
        row = _row(line)
        if seen is not None:
            seen.add(row)
        call_id = self._id(row, line)
        output, exception = at(row, self.output), self._exception(row)
        if output is ABSENT and exception is None:
            neither = "" if self.exception is None else f", and no exception in {self.exception!r}"
            raise NoOutput(f"no field {self.output!r} for the output{neither}")
        started, ended = self._times(row)
        call = {
            "project_id": self.project,
            "id": call_id,
            "trace_id": ids.digest(call_id),
            "op_name": self._op_name(row),
            "started_at": started,
            "ended_at": ended,
            "attributes": self._pick(row, self.attributes),
            "inputs": self._inputs(row),
            "output": None if output is ABSENT else output,
            "summary": {},
        }
        if exception is not None:
            call["exception"] = exception
        encoded = orjson.dumps(call)
        if len(encoded) > MAX_CALL_BYTES:
            raise BadLine(f"too large: the call has {len(encoded):,} bytes, the limit is {MAX_CALL_BYTES:,}")
        return encoded

    def _id(self, row: dict[str, Any], line: bytes) -> str:
        if self.id is None:
            return hashlib.blake2b(line, digest_size=16).hexdigest()
        value = at(row, self.id)
        if value is ABSENT:
            raise BadLine(f"no field {self.id!r} for the id")
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise BadLine(f"the id in {self.id!r} is neither a string nor an integer")
        try:
            return ids.check_id(str(value))
        except ids.BadId as error:
            raise BadLine(f"the id in {self.id!r} {error}") from None

    def _exception(self, row: dict[str, Any]) -> str | None:
        """How the call failed, if it did: fields such as `"error": false` or `""` say that it did not."""
        value = None if self.exception is None else at(row, self.exception)
        if value is ABSENT or not value:
            return None
        return value if isinstance(value, str) else orjson.dumps(value).decode()

    def _op_name(self, row: dict[str, Any]) -> str:
        if self.op_name_field is None:
            return self.op_name
        value = at(row, self.op_name_field)
        if not isinstance(value, str) or not value:
            raise BadLine(f"no string in {self.op_name_field!r} for the op name")
        return value

    def _inputs(self, row: dict[str, Any]) -> dict[str, Any]:
        if not self.inputs:
            taken = {path if path in row else path.split(".")[0] for path in self._other_paths()}
            return {name: value for name, value in row.items() if name not in taken}
        inputs = self._pick(row, self.inputs)
        if not inputs:
            raise BadLine(f"none of the input fields {', '.join(self.inputs)}")
        return inputs

    def _other_paths(self) -> Iterator[str]:
        yield self.output
        yield from self.attributes
        yield from filter(None, (self.id, self.exception, self.op_name_field, self.started_at, self.ended_at))

    def _pick(self, row: dict[str, Any], paths: tuple[str, ...]) -> dict[str, Any]:
        picked = {}
        for path in paths:
            value = at(row, path)
            if value is not ABSENT:
                picked[_name(path)] = value
        return picked

    def _times(self, row: dict[str, Any]) -> tuple[str, str]:
        """Start and end, never from the clock: importing a line again must give the same call."""
        started = EPOCH if self.started_at is None else _time(row, self.started_at)
        ended = started if self.ended_at is None else _time(row, self.ended_at)
        return (ended if self.started_at is None else started), ended


class Seen:
    """Which fields the lines of a run have had."""

    def __init__(self, fields: Fields) -> None:
        self.missing = {*fields.inputs, *fields.attributes}
        """Those of the inputs and attributes that no line has had."""
        self.has_output = False
        """Whether a line has had the field of the output."""
        self.first: list[str] = []
        """Those of the first line."""
        self._output = fields.output

    def add(self, row: dict[str, Any]) -> None:
        self.first = self.first or list(row)
        self.has_output = self.has_output or at(row, self._output) is not ABSENT
        if self.missing:
            self.missing = {path for path in self.missing if at(row, path) is ABSENT}


def _name(path: str) -> str:
    """The name of an input or attribute: the last step of its path that is not a list index."""
    steps = [step for step in path.split(".") if not step.isdecimal()]
    return steps[-1] if steps else path


def _row(line: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if not _is_text(line):
            raise BadLine("not UTF-8") from None
        raise BadLine(f"not valid JSON: {error.msg} (column {error.colno}); a JSON object is expected") from None
    if not isinstance(row, dict):
        raise BadLine("not a JSON object")
    return row


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _time(row: dict[str, Any], path: str) -> str:
    value = at(row, path)
    if value is ABSENT:
        raise BadLine(f"no field {path!r} for the time")
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(value / 1000 if value >= _MILLISECONDS_FROM else value, UTC)
        else:
            raise ValueError
        return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        raise BadLine(f"the time in {path!r} is neither RFC 3339 nor Unix time") from None
