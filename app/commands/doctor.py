"""callscore doctor"""

from typing import TYPE_CHECKING

import click

from app.commands.service_options import service_options

if TYPE_CHECKING:
    from app.client.http import Service


@click.command(short_help="Check what a service needs here.")
@service_options
def doctor(service: "Service") -> int:
    """Check what keeps a service from starting or working well, here and with these settings.

    A line each, which begins with ok, warning or wrong: Python, the settings, the data folder and its disk, the log or
    Kafka with its topics, open files, scorers, providers, API keys, and the service that answers at --url. Nothing is
    changed. Exit code 1 if something is wrong.
    """
    from app.client.output import note, say
    from app.client.text import clean, plural
    from app.upkeep.checkup.finding import Level
    from app.upkeep.checkup.whole import findings

    counts = dict.fromkeys(Level, 0)
    for found in findings(service):
        counts[found.level] += 1
        say(f"{found.level:<8} {found.about}: {clean(found.sentence)}")
    note(
        f"{plural(counts[Level.WRONG], 'thing')} wrong, {plural(counts[Level.WARNING], 'warning')}."
        if counts[Level.WRONG] or counts[Level.WARNING]
        else "Nothing is wrong."
    )
    return 1 if counts[Level.WRONG] else 0
