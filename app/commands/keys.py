"""callscore keys add"""

from pathlib import Path

import click

from app.client.errors import CommandError
from app.commands.types import Id
from app.keys import KeyFileError, add_key


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--user", type=Id(), required=True, help="Owner of the key; recorded with each request.")
@click.option(
    "--project", "projects", type=Id(), metavar="GLOB", multiple=True, required=True,
    help="Projects the key may use, e.g. 'acme/*'. Repeatable.",
)  # fmt: skip
def add(file: Path, user: str, projects: tuple[str, ...]) -> None:
    """Create an API key, add its hash to FILE, and print the key.

    The key itself is not stored and cannot be shown again.
    """
    try:
        key = add_key(file, user, projects)
    except KeyFileError as error:
        raise CommandError(str(error)) from None
    click.echo(key)
    for glob in projects:
        if "/" not in glob and "*" not in glob:
            click.echo(f"{glob!r} matches no project: projects are named entity/name. Try '{glob}/*'.", err=True)
    click.echo(
        f"Save this key now: {file} contains only its hash.\n"
        f"To require keys, start the service with: CALLSCORE_API_KEYS={file}\n"
        "To use this key, clients set CALLSCORE_API_KEY or pass --api-key.",
        err=True,
    )
