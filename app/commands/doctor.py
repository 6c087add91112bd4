"""callscore doctor"""

from collections import Counter

import click

from app.client.http import Service
from app.client.output import note, print_line
from app.client.text import clean, plural
from app.commands.options import service_options
from app.upkeep.doctor.checks import findings
from app.upkeep.doctor.finding import Level


@click.command()
@service_options
def doctor(service: Service) -> int:
    """Check for anything that keeps the service from starting or working well with the current settings.

    Prints one line per check, starting with ok, warning or wrong. Checks Python, the settings, the data folder and its
    disk, the log or Kafka and its topics, open files, scorers, providers, API keys, and the service at --url. Changes
    nothing. Exits with 1 if anything is wrong.
    """
    counts = Counter[Level]()
    for found in findings(service):
        counts[found.level] += 1
        print_line(f"{found.level:<8} {found.subject}: {clean(found.sentence)}")
    if counts[Level.WRONG] or counts[Level.WARNING]:
        note(f"{plural(counts[Level.WRONG], 'problem')}, {plural(counts[Level.WARNING], 'warning')}.")
    else:
        note("No problems found.")
    return 1 if counts[Level.WRONG] else 0
