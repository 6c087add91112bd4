"""The `callscore` command. The module of a command is imported only when the command is used."""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click

from app import open_files
from app.commands.running import guarded


class Entry(NamedTuple):
    """A command that is not imported yet; without a `summary` it is not listed."""

    target: str  # module:attribute
    summary: str = ""


class LazyGroup(click.Group):
    """A group that lists its commands from a table, in the order of the table."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._entries:
            return None
        module, _, attribute = self._entries[cmd_name].target.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self._entries.items() if entry.summary])


COMMANDS = {
    "up": Entry("app.commands.service:up", "Run the whole service in one process."),
    "worker": Entry("app.commands.service:worker", "Run one worker, on the embedded log or on Kafka."),
    "sample": Entry("app.commands.sample:sample"),
    "calls": Entry("app.commands.calls:calls", "Import, list and show logged calls."),
    "submit": Entry("app.commands.submit:submit", "Submit calls for scoring."),
    "status": Entry("app.commands.status:status", "Show score requests; cancel or retry one."),
    "scores": Entry("app.commands.scores:scores", "Show scores, a summary of them, or which are missing."),
    "scorers": Entry("app.commands.scorers:scorers", "List, publish, try and compare scorers."),
    "keys": Entry("app.commands.keys:keys", "Create API keys."),
    "log": Entry("app.commands.log:log", "Inspect, back up, export and import the log."),
    "dead-letters": Entry("app.commands.dead_letters:dead_letters", "Show, retry or dismiss records that failed."),
    "replay": Entry("app.commands.replay:replay", "Rebuild all tables from the log, or verify them."),
    "doctor": Entry("app.commands.doctor:doctor", "Check the settings and this machine for problems."),
}


@click.group(cls=LazyGroup, entries=COMMANDS)
@click.version_option(package_name="callscore", message="%(prog)s %(version)s")
def cli() -> None:
    """Apply scorers to logged LLM calls.

    Exit codes: 0 success; 1 something failed or was refused; 2 an option, argument or setting is invalid; 130
    interrupted.
    """


@cli.result_callback()
def _flush(exit_code: object) -> object:
    """Write what is buffered while click still handles a reader that has gone away."""
    sys.stdout.flush()
    return exit_code


def main() -> NoReturn:
    """Run the command line of this process."""
    open_files.raise_limit()
    sys.exit(guarded(cli))


if __name__ == "__main__":
    main()
