"""callscore sample, which `callscore up --sample` starts"""

import asyncio

import click

from app.client.http import Service
from app.client.sample import score_sample
from app.commands.options import service_options


@click.command()
@service_options
def sample(service: Service) -> int:
    """Score the bundled sample on a service that is running or starting."""
    return asyncio.run(score_sample(service))
