"""The `callscore` command. What is heavy is imported by the command that needs it, so that the others start at once."""

import sys
from typing import NoReturn

import click

from app import open_files
from app.commands.calls import calls
from app.commands.dead_letters import dead_letters
from app.commands.doctor import doctor
from app.commands.keys import keys
from app.commands.log import log
from app.commands.replay import replay
from app.commands.running import guarded
from app.commands.scorers import scorers
from app.commands.scores import scores
from app.commands.service import score_sample, up, worker
from app.commands.status import status
from app.commands.submit import submit


class InOrder(click.Group):
    """A group that lists its commands in the order in which one meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=InOrder)
@click.version_option(package_name="callscore", message="%(prog)s %(version)s")
def cli() -> None:
    """Apply scorers to logged LLM calls.

    Exit codes: 0 all well, 1 something failed or was refused, 2 an option, value or setting cannot be used, 130
    interrupted.
    """


for command in (
    up,
    worker,
    score_sample,
    calls,
    submit,
    status,
    scores,
    scorers,
    keys,
    log,
    dead_letters,
    replay,
    doctor,
):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line of this process."""
    open_files.raise_limit()
    sys.exit(guarded(cli))


if __name__ == "__main__":
    main()
