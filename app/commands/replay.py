"""callscore replay"""

from datetime import datetime
from pathlib import Path

import click

from app.client.http import Service
from app.client.output import print_line
from app.client.text import number, plural, seconds
from app.commands.options import bad_usage, service_options
from app.commands.settings import checked_settings
from app.commands.types import TIMES, Time


@click.command()
@click.argument("directory", metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path), required=False)
@click.option("--as-of", type=Time(), metavar="TIME", help=f"Rebuild them as they were at TIME, {TIMES}.")
@click.option(
    "--verify", is_flag=True, help="Compare them with the tables of the service and show the first difference."
)
@service_options
def replay(directory: Path | None, as_of: datetime | None, verify: bool, service: Service) -> int:
    """Rebuild all tables from the log (embedded or Kafka) in DIR. The log may be in use.

    With --verify and no DIR, the rebuilt tables are compared with those of the service: of the running one at --url, at
    the same position of the log, or of the stopped one, in CALLSCORE_DATA_DIR. Uses the settings of the service.
    """
    if verify == (directory is not None):
        raise bad_usage("Give either DIR or --verify.")
    if verify and as_of is not None:
        raise bad_usage("--as-of can only be used with DIR.")
    checked_settings()
    return _verify(service) if directory is None else _replay(directory, as_of)


def _replay(directory: Path, as_of: datetime | None) -> int:
    from app.upkeep.replay import replay  # which makes the app from the settings, so they are checked before

    done = replay(directory, None if as_of is None else as_of.timestamp())
    print_line(f"{_applied(done.applied.records, done.applied.seconds, done.applied.letters)}.")
    print_line(f"{directory / 'tables'} has {_by_table(done.rows)}.")
    return 0


def _verify(service: Service) -> int:
    from app.upkeep.replay import verify  # as above

    done = verify(service)
    print_line(f"{_applied(done.applied.records, done.applied.seconds, done.applied.letters)}.")
    if done.compared.difference is not None:
        print_line(str(done.compared.difference))
        return 1
    whose = f"the service at {service.url}" if done.running else "the stopped service"
    rows = done.compared.rows
    print_line(f"The tables of {whose} are the same: {number(sum(rows.values()))} rows ({_by_table(rows)}).")
    return 0


def _applied(records: int, elapsed: float, letters: int) -> str:
    unusable = f", {number(letters)} of which cannot be applied" if letters else ""
    rate = number(round(records / max(elapsed, 1e-6)))
    return f"Replayed {plural(records, 'record')}{unusable} in {seconds(elapsed)} ({rate}/s)"


def _by_table(rows: dict[str, int]) -> str:
    return ", ".join(f"{table} {number(count)}" for table, count in sorted(rows.items())) or "no rows"
