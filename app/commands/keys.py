"""callscore keys add"""

from pathlib import Path

import click

from app.commands.names import Name


@click.group()
def keys() -> None:
    """API keys."""


@keys.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--user", type=Name(), required=True, help="Whose key it is; requests carry this name.")
@click.option(
    "--project",
    "projects",
    type=Name(),
    metavar="GLOB",
    multiple=True,
    required=True,
    help="E.g. 'acme/*'. Repeatable.",
)
def add(file: Path, user: str, projects: tuple[str, ...]) -> None:
    """Make a key, add its hash to FILE, and print the key, this once."""
    from app.client.errors import CommandError
    from app.keys import KeyFileError, add_key

    try:
        key = add_key(file, user, projects)
    except KeyFileError as error:
        raise CommandError(str(error)) from None
    click.echo(key)
    for glob in projects:
        if "/" not in glob and "*" not in glob:
            click.echo(f"No project is named {glob!r}, since projects are entity/name; perhaps '{glob}/*'?", err=True)
    click.echo(
        f"Only its hash is in {file}, so keep it now.\n"
        f"The service asks for keys when started with: CALLSCORE_API_KEYS={file}\n"
        "Clients show this one with: CALLSCORE_API_KEY, or --api-key",
        err=True,
    )
