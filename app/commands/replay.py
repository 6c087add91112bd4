"""callscore replay"""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.commands.service_options import service_options
from app.commands.settings import checked_settings
from app.commands.times import Time

if TYPE_CHECKING:
    from app.client.http import Service


@click.command(short_help="Make all tables anew from the log.")
@click.argument("directory", metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("--as-of", type=Time(), metavar="TIME", help="As they were then, e.g. 2026-01-31T12:00:00Z.")
@click.option("--verify", is_flag=True, help="Compare them with those that the service has, and name what differs.")
@service_options
def replay(directory: Path | None, as_of: datetime | None, verify: bool, service: "Service") -> int:
    """Make all tables anew in DIR from the log alone, embedded or Kafka's, also while it is in use.

    --verify needs no DIR: it compares them with the tables of the service that runs, at the same position of the log,
    or of the one that is stopped, in CALLSCORE_DATA_DIR. Settings are those of the service.
    """
    if verify == (directory is not None):
        raise click.UsageError("Give either a directory or --verify.", click.get_current_context())
    if verify and as_of is not None:
        raise click.UsageError("--as-of goes with a directory only.", click.get_current_context())
    checked_settings()
    return _verify(service) if directory is None else _replay(directory, as_of)


def _replay(directory: Path, as_of: datetime | None) -> int:
    from app.client.output import say
    from app.upkeep.replay import replay

    done = replay(directory, None if as_of is None else as_of.timestamp())
    say(f"{_applied(done.applied.records, done.applied.seconds, done.applied.letters)}.")
    say(f"{directory / 'tables'} has {_by_table(done.rows)}.")
    return 0


def _verify(service: "Service") -> int:
    from app.client.output import say
    from app.client.text import number
    from app.upkeep.replay import verify

    done = verify(service)
    say(f"{_applied(done.applied.records, done.applied.seconds, done.applied.letters)}.")
    if done.compared.difference is not None:
        say(str(done.compared.difference))
        return 1
    whose = f"the service at {service.url}" if done.running else "the stopped service"
    rows = done.compared.rows
    say(f"The tables of {whose} are the same: {number(sum(rows.values()))} rows ({_by_table(rows)}).")
    return 0


def _applied(records: int, elapsed: float, letters: int) -> str:
    from app.client.text import number, plural, seconds

    none = f", {number(letters)} of which cannot be applied" if letters else ""
    rate = number(round(records / max(elapsed, 1e-6)))
    return f"Replayed {plural(records, 'record')}{none} in {seconds(elapsed)} ({rate}/s)"


def _by_table(rows: dict[str, int]) -> str:
    from app.client.text import number

    return ", ".join(f"{table} {number(count)}" for table, count in sorted(rows.items())) or "no rows"
