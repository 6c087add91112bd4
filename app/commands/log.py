"""callscore log"""

import asyncio
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.commands.service_options import service_options
from app.commands.settings import checked_settings

if TYPE_CHECKING:
    from app.client.http import Service

_directory = click.option(
    "--dir", "directory", type=click.Path(file_okay=False, path_type=Path),
    help="A log's directory, such as a backup. Default: the log that CALLSCORE_BROKER and CALLSCORE_DATA_DIR name.",
)  # fmt: skip


@click.group()
def log() -> None:
    """Look into the log, copy it, move it.

    Settings are those of the service: CALLSCORE_BROKER, CALLSCORE_DATA_DIR and so on.
    """


@log.command(short_help="What each partition holds, as a table or JSON.")
@_directory
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def stats(directory: Path | None, as_json: bool) -> None:
    """What each partition of the embedded log holds, also while a service runs on it.

    All of it is read. Bytes are those of the records before compression; lag is what has not been committed yet.
    """
    from app.upkeep import reading

    found = reading.stats(directory)
    if as_json:
        _lines(found)
    else:
        _stats_table(found)


@log.command(short_help="Verify every record and index entry.")
@_directory
def check(directory: Path | None) -> int:
    """Verify every record and index entry of the embedded log; a line for each problem.

    No service may run on it. A backup can be checked at any time, with --dir.
    """
    from app.client import output
    from app.client.text import plural
    from app.upkeep import reading

    problems = 0
    for problem in reading.check(directory):
        output.say(problem)
        problems += 1
    output.note(
        "The log is whole." if not problems else f"{plural(problems, 'problem')}; restore the log from a backup."
    )
    return 1 if problems else 0


@log.command(short_help="Records as JSON lines.")
@_directory
@click.option("--topic", help="Only of this topic.")
@click.option("--partition", type=click.IntRange(min=0), help="Only of this partition.")
@click.option("--from", "start", type=click.IntRange(min=0), default=0, help="From this offset on, in each partition.")
@click.option("--to", "end", type=click.IntRange(min=0), help="Up to, not with, this offset.")
@click.option("--limit", type=click.IntRange(0, sys.maxsize), help="At most N records.")
def dump(
    directory: Path | None, topic: str | None, partition: int | None, start: int, end: int | None, limit: int | None
) -> None:
    """The embedded log's records as JSON lines, also while a service runs on it.

    Keys are text, or key_base64; values are JSON, or value_base64.
    """
    from app.upkeep import reading

    _lines(islice(reading.dump(directory, topic, partition, start, end), limit))


@log.command(short_help="Copy the log, also while it is in use.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@service_options
def backup(directory: Path, service: "Service") -> None:
    """Make DIR a copy of the embedded log as it is at one moment, also while the service runs.

    DIR is itself a log's directory. On the same file system it shares the files that never change with the log.
    """
    from app.client import output
    from app.upkeep.backup import back_up

    back_up(directory, service)
    output.note(f"{directory} is a copy of the log; callscore log check --dir {directory} verifies it.")


@log.command(short_help="Drop what changelogs no longer need.")
@_directory
@click.option("--topic", help="Only this one. Default: every topic that is compacted.")
def compact(directory: Path | None, topic: str | None) -> None:
    """Keep only the newest record of each key in the embedded log's changelogs.

    No service may run on it: one that runs does this by itself, at leisure.
    """
    from app.client import output
    from app.upkeep.compacting import compact

    for name, cleaned in asyncio.run(compact(directory, topic)).items():
        output.say(f"{name}: {cleaned.removed} records, {cleaned.removed_bytes} bytes less")


@log.command("export", short_help="Write all of the log to one file.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
def export_(file: Path) -> None:
    """Write all of the log to FILE (- for stdout; compressed if it ends in .gz), embedded or Kafka's.

    FILE must be new. Every worker must be stopped. callscore log import makes the log anew from it.
    """
    from app.client import output

    checked_settings()
    from app.upkeep.exporting import export_log

    records = asyncio.run(export_log(file))
    output.note(f"Exported {sum(records.values())} records: {_by_topic(records)}.")


@log.command("import", short_help="Make a new log from an export, on any broker.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
def import_(file: Path) -> None:
    """Make a new log from FILE, an export (- for stdin), embedded or Kafka's, with CALLSCORE_PARTITIONS partitions.

    Every score, id, time and request is kept; dead letters and tables are made anew when the service starts.
    """
    from app.client import output

    checked_settings()
    from app.upkeep.importing import import_log

    done = asyncio.run(import_log(file))
    before, after = done.partitions
    recut = f", cut from {before} into {after} partitions" if before != after else ""
    output.note(f"Imported {sum(done.read.values())} records{recut}; the log now has {_by_topic(done.written)}.")


def _lines(found: Iterable[dict[str, Any]]) -> None:
    import orjson

    for one in found:
        sys.stdout.buffer.write(orjson.dumps(one) + b"\n")
    sys.stdout.buffer.flush()


def _by_topic(records: dict[str, int]) -> str:
    return ", ".join(f"{topic} {number}" for topic, number in records.items()) or "none"


def _stats_table(found: list[dict[str, Any]]) -> None:
    from app.client import output

    headings = ("topic", "partition", "start", "end", "records", "bytes", "committed", "lag")
    rows = [
        (
            *(str(one[heading]) for heading in headings[:6]),
            *(", ".join(str(offset) for offset in one[heading].values()) or "-" for heading in headings[6:]),
        )
        for one in found
    ]
    output.table(headings, rows, right=headings[1:])
    total = f"{sum(one['records'] for one in found)} records, {sum(one['bytes'] for one in found)} bytes"
    output.say(f"{total} in {len({one['topic'] for one in found})} topics")
