"""callscore keys add, list and remove"""

from pathlib import Path

import click

from app.client.errors import CommandError
from app.client.output import print_json, print_line, table
from app.client.text import clean
from app.commands.options import json_lines_option
from app.commands.types import Id
from app.keys import KeyFileError, add_key, list_keys, remove_key

_file_argument = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.command()
@_file_argument
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


@click.command("list")
@_file_argument
@json_lines_option
def list_(file: Path, as_json: bool) -> None:
    """List the API keys of FILE: the id of each, its user and projects. The keys themselves are not stored."""
    try:
        keys = list_keys(file)
    except KeyFileError as error:
        raise CommandError(str(error)) from None
    if as_json:
        for key in keys:
            print_json(key._asdict())
    elif keys:
        table(["KEY", "USER", "PROJECTS"], [[key.id, key.user, ", ".join(key.projects)] for key in keys], fold=True)
    else:
        print_line(f"{file} has no keys.")


@click.command()
@_file_argument
@click.argument("key_id", metavar="ID")
def remove(file: Path, key_id: str) -> None:
    """Withdraw the API key with this ID, as listed by: callscore keys list FILE

    A running service refuses the key from its next request on.
    """
    try:
        key = remove_key(file, key_id)
    except KeyFileError as error:
        raise CommandError(str(error)) from None
    print_line(f"The key {key.id} of {clean(key.user)} is withdrawn.")
