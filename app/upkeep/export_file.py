"""The file of an exported log, in JSON lines: a header, the records, a trailer with their counts.

    {"format": "callscore-log", "version": 1, "partitions": 8, "ends": {"calls": [12, ...], ...}}
    {"topic": "calls", "partition": 0, "offset": 0, "timestamp": 1764064800000, "key": "a\\u0000b", "value": "{...}"}
    {"records": {"calls": 96, ...}, "digest": "..."}

Topics are named without prefix and come in the order of the header, partition by partition, by offset. Timestamps are
in milliseconds. Keys and values are text, or {"base64": "..."} where they are not UTF-8, or null. `digest` is BLAKE2b
with 16 bytes over all lines before it.
"""

import gzip
import hashlib
import sys
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

import orjson
from pydantic import BaseModel, ValidationError

from app.client.errors import BadInput, CommandError
from app.embedded.record import Record

VERSION = 1
STANDARD = Path("-")

Binary = IO[bytes] | gzip.GzipFile


class Header(BaseModel):
    """The first line; `ends` has the offset after the last record of each partition, by topic."""

    format: Literal["callscore-log"] = "callscore-log"
    version: int = VERSION
    partitions: int
    ends: dict[str, list[int]]


class Writer:
    """Writes an export, which is incomplete and cannot be imported without `finish`."""

    def __init__(self, file: Binary, header: Header) -> None:
        self._file = file
        self._digest = hashlib.blake2b(digest_size=16)
        self.records = Counter(dict.fromkeys(header.ends, 0))
        self._write(header.model_dump())

    def record(self, record: Record) -> None:
        line: dict[str, Any] = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "key": _text(record.key),
            "value": _text(record.value),
        }
        if record.headers:
            line["headers"] = [[name, _text(content)] for name, content in record.headers]
        self._write(line)
        self.records[record.topic] += 1

    def finish(self) -> None:
        self._write({"records": dict(self.records), "digest": self._digest.hexdigest()})

    def _write(self, line: Mapping[str, Any]) -> None:
        encoded = orjson.dumps(line) + b"\n"
        self._digest.update(encoded)
        self._file.write(encoded)


class Reader:
    """Reads an export: the header when constructed, then `records`, once.

    Raises:
        CommandError: it is not an export, has another version, or is incomplete or damaged.
    """

    def __init__(self, file: Binary, name: str) -> None:
        self._file = file
        self._name = name
        self._digest = hashlib.blake2b(digest_size=16)
        line = self._line()
        try:
            found = orjson.loads(line)
            version = found["version"] if found["format"] == "callscore-log" else None
        except (orjson.JSONDecodeError, TypeError, KeyError):
            version = None
        if version is None:
            raise CommandError(f"{name} is not an exported log. Make one with: callscore log export")
        if version != VERSION:
            raise CommandError(f"{name} has format {version!r}, but this version of callscore reads format {VERSION}.")
        try:
            self.header = Header.model_validate(found)
        except ValidationError:
            raise self._damaged("its header cannot be read") from None

    def records(self) -> Iterator[Record]:
        """Every record in order. Raises CommandError at the end if any is missing."""
        order = {topic: number for number, topic in enumerate(self.header.ends)}
        counted = Counter(dict.fromkeys(self.header.ends, 0))
        last = (-1, -1, -1)
        while True:
            digest = self._digest.hexdigest()
            line = self._line()
            if not line:
                raise CommandError(
                    f"{self._name} ends before it is complete, after {counted.total()} records. Export it again."
                )
            try:
                found = orjson.loads(line)
                if "records" in found:
                    break
                record = _record(found)
                where = (order[record.topic], record.partition, record.offset)
                known = record.offset < self.header.ends[record.topic][record.partition]
            except (orjson.JSONDecodeError, TypeError, KeyError, IndexError, ValueError):
                raise self._damaged(f"record {counted.total() + 1} cannot be read") from None
            if where <= last or not known:
                raise self._damaged(f"record {counted.total() + 1} is out of order")
            last = where
            counted[record.topic] += 1
            yield record
        if found != {"records": dict(counted), "digest": digest} or self._line():
            raise self._damaged(f"its last line does not agree with its {counted.total()} records")

    def _line(self) -> bytes:
        try:
            line = self._file.readline()
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return b""
        if not line.endswith(b"\n"):
            return b""
        self._digest.update(line)
        return line

    def _damaged(self, what: str) -> CommandError:
        return CommandError(f"{self._name} is damaged ({what}). Export it again.")


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """An export to read, from standard input where the path is `-`. Raises CommandError as `Reader`, and OSError."""
    if path == STANDARD:
        yield Reader(sys.stdin.buffer, "Standard input")
        return
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        yield Reader(file, str(path))


def check_new(path: Path) -> None:
    """Check that an export would not overwrite a file. Raises BadInput."""
    if path != STANDARD and path.exists():
        raise BadInput(f"{path} already exists. Choose a new file.")


@contextmanager
def writing(path: Path) -> Iterator[Binary]:
    """Where to write an export, to standard output where the path is `-`; the file appears only when it is complete."""
    if path == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as raw:
            if path.suffix == ".gz":
                with gzip.open(raw, "wb", compresslevel=6) as file:
                    yield file
            else:
                yield raw
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _text(raw: bytes | None) -> str | dict[str, str] | None:
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(raw).decode()}


def _raw(text: str | dict[str, str] | None) -> bytes | None:
    if text is None:
        return None
    return text.encode() if isinstance(text, str) else b64decode(text["base64"], validate=True)


def _record(line: Mapping[str, Any]) -> Record:
    headers = [(str(name), _raw(content)) for name, content in line.get("headers", ())]
    partition, offset, timestamp = int(line["partition"]), int(line["offset"]), int(line["timestamp"])
    if partition < 0:
        raise ValueError(partition)
    return Record(line["topic"], partition, offset, timestamp, _raw(line["key"]), _raw(line["value"]), headers)
