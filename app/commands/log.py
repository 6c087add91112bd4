"""callscore log"""

import asyncio
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import click

from app.client.http import Service
from app.client.output import note, print_all, print_line, table
from app.client.text import plural
from app.commands.options import json_lines_option, service_options
from app.commands.settings import checked_settings
from app.upkeep import compacting, inspecting
from app.upkeep.backup import back_up

_directory = click.option(
    "--dir", "directory", type=click.Path(file_okay=False, path_type=Path),
    help="Directory of a log, such as a backup. Default: the log of CALLSCORE_BROKER and CALLSCORE_DATA_DIR.",
)  # fmt: skip


@click.command()
@_directory
@json_lines_option
def stats(directory: Path | None, as_json: bool) -> None:
    """Show what each partition of the embedded log contains. The log may be in use.

    Reads the whole log. Bytes are counted before compression; lag is the number of records not committed yet.
    """
    found = inspecting.stats(directory)
    if as_json:
        print_all(found)
    else:
        _print_stats(found)


@click.command()
@_directory
def check(directory: Path | None) -> int:
    """Verify every record and index entry of the embedded log, and print one line per problem.

    The log must not be in use. A backup can be checked at any time, with --dir.
    """
    problems = 0
    for problem in inspecting.check(directory):
        print_line(problem)
        problems += 1
    note(f"{plural(problems, 'problem')} found. Restore the log from a backup." if problems else "No problems found.")
    return 1 if problems else 0


@click.command()
@_directory
@click.option("--topic", help="Only this topic.")
@click.option("--partition", type=click.IntRange(min=0), help="Only this partition.")
@click.option("--from", "start", type=click.IntRange(min=0), default=0, help="First offset, in each partition.")
@click.option("--to", "end", type=click.IntRange(min=0), help="Stop before this offset, in each partition.")
@click.option("--limit", metavar="N", type=click.IntRange(0, sys.maxsize), help="Print at most N records.")
def dump(
    directory: Path | None, topic: str | None, partition: int | None, start: int, end: int | None, limit: int | None
) -> None:
    """Print records of the embedded log as JSON lines. The log may be in use.

    Keys that are not text are in key_base64, values that are not JSON in value_base64.
    """
    print_all(islice(inspecting.dump(directory, topic, partition, start, end), limit))


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@service_options
def backup(directory: Path, service: Service) -> None:
    """Copy the embedded log to DIR as it is at one moment. If a service is running, it makes the copy.

    DIR becomes the directory of a log. On the same file system, files that never change are shared with the log.
    """
    back_up(directory, service)
    note(f"Copied the log to {directory}. Verify the copy with: callscore log check --dir {directory}")


@click.command()
@_directory
@click.option("--topic", help="Compact only this topic. Default: every compacted topic.")
def compact(directory: Path | None, topic: str | None) -> None:
    """Keep only the newest record of each key in the changelogs of the embedded log.

    The log must not be in use: a running service compacts it in the background.
    """
    for name, cleaned in asyncio.run(compacting.compact(directory, topic)).items():
        print_line(f"{name}: {cleaned.removed} records, {cleaned.removed_bytes} bytes removed")


@click.command("export")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
def export_(file: Path) -> None:
    """Write the whole log (embedded or Kafka) to FILE, from which callscore log import can make a new log.

    FILE must not exist; - writes to stdout. It is compressed if its name ends in .gz. All workers must be stopped.
    """
    checked_settings()
    from app.upkeep.exporting import export_log  # which makes the app from the settings, so they are checked before

    records = asyncio.run(export_log(file))
    note(f"Exported {plural(sum(records.values()), 'record')}: {_by_topic(records)}.")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
def import_(file: Path) -> None:
    """Make a new log (embedded or Kafka) with CALLSCORE_PARTITIONS partitions from FILE, an export (- for stdin).

    Keeps every score, id, time and request. Tables and dead letters are rebuilt when the service starts.
    """
    checked_settings()
    from app.upkeep.importing import import_log  # as above

    done = asyncio.run(import_log(file))
    before, after = done.partitions
    moved = f", moved from {before} to {after} partitions" if before != after else ""
    note(f"Imported {plural(sum(done.read.values()), 'record')}{moved}. The log now has {_by_topic(done.written)}.")


def _by_topic(records: dict[str, int]) -> str:
    return ", ".join(f"{topic} {count}" for topic, count in records.items()) or "none"


def _print_stats(found: list[dict[str, Any]]) -> None:
    headings = ("topic", "partition", "start", "end", "records", "bytes", "committed", "lag")
    rows = [
        (
            *(str(one[heading]) for heading in headings[:6]),
            *(", ".join(str(offset) for offset in one[heading].values()) or "-" for heading in headings[6:]),
        )
        for one in found
    ]
    table(headings, rows, right=headings[1:])
    total = f"{sum(one['records'] for one in found)} records, {sum(one['bytes'] for one in found)} bytes"
    print_line(f"{total} in {len({one['topic'] for one in found})} topics")
