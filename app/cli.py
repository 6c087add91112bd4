"""The `callscore` command."""

import sys
from typing import NoReturn

import click

from app import open_files
from app.commands.lazy import Entry, LazyGroup
from app.commands.running import guarded

COMMANDS = {
    "up": Entry("app.commands.service:up", "Run the whole service in one process."),
    "worker": Entry("app.commands.service:worker", "Run one worker, on the embedded log or on Kafka."),
    "sample": Entry("app.commands.sample:sample"),
    "calls": Entry("app.commands.groups:calls", "Import, list and show logged calls."),
    "submit": Entry("app.commands.submit:submit", "Submit calls for scoring."),
    "status": Entry("app.commands.status:status", "Show score requests; cancel or retry one."),
    "scores": Entry("app.commands.scores:scores", "Show scores, a summary of them, or which are missing."),
    "scorers": Entry("app.commands.groups:scorers", "List, publish, try and compare scorers."),
    "rules": Entry("app.commands.groups:rules", "Score calls as they are logged."),
    "weave": Entry("app.commands.groups:weave", "Pull calls from W&B Weave, push scores to it."),
    "keys": Entry("app.commands.groups:keys", "Create, list and withdraw API keys."),
    "log": Entry("app.commands.groups:log", "Inspect, back up, export and import the log."),
    "dead-letters": Entry("app.commands.groups:dead_letters", "Show, retry or dismiss records that failed."),
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
