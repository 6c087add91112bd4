"""The commands that have commands of their own."""

from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from app.commands.lazy import Entry, LazyGroup
from app.commands.options import bad_usage, client_options, json_lines_option
from app.commands.types import Project

if TYPE_CHECKING:  # importing it takes longer than all of help
    from app.client.http import Client

_CALLS = {
    "import": Entry("app.commands.calls:import_", "Import JSON lines as calls."),
    "list": Entry("app.commands.calls:list_", "List the calls that have ended."),
    "show": Entry("app.commands.calls:show", "Show one call as JSON."),
}
_SCORERS = {
    "publish": Entry("app.commands.scorers:publish", "Publish a kind of scorer under a name."),
    "show": Entry("app.commands.scorers:show", "Show one scorer as JSON."),
    "try": Entry("app.commands.scorers:try_", "Run a scorer once on a call."),
    "compare": Entry("app.commands.scorers:compare", "Compare the scores of two scorers."),
    "costs": Entry("app.commands.scorers:costs", "Show what the scorers of a project cost."),
}
_RULES = {
    "list": Entry("app.commands.rules:list_", "List the rules of a project."),
    "set": Entry("app.commands.rules:set_", "Make or replace a rule."),
    "pause": Entry("app.commands.rules:pause", "Pause a rule."),
    "resume": Entry("app.commands.rules:resume", "Resume a paused rule."),
    "remove": Entry("app.commands.rules:remove", "Remove a rule."),
    "calls": Entry("app.commands.rules:calls", "List the calls that a rule matched."),
    "requests": Entry("app.commands.rules:requests", "List the score requests of a rule."),
}
_WEAVE = {
    "pull": Entry("app.commands.weave:pull", "Log the calls of a Weave project here."),
    "push": Entry("app.commands.weave:push", "Write scores to Weave as feedback."),
}
_KEYS = {
    "add": Entry("app.commands.keys:add", "Create an API key."),
    "list": Entry("app.commands.keys:list_", "List the API keys of a file."),
    "remove": Entry("app.commands.keys:remove", "Withdraw an API key."),
}
_LOG = {
    "stats": Entry("app.commands.log:stats", "Show what each partition contains."),
    "check": Entry("app.commands.log:check", "Verify every record and index entry."),
    "dump": Entry("app.commands.log:dump", "Print records as JSON lines."),
    "backup": Entry("app.commands.log:backup", "Copy the log, even while it is in use."),
    "compact": Entry("app.commands.log:compact", "Remove outdated changelog records."),
    "export": Entry("app.commands.log:export_", "Write the whole log to one file."),
    "import": Entry("app.commands.log:import_", "Make a new log from an export."),
}
_DEAD_LETTERS = {
    "list": Entry("app.commands.dead_letters:list_", "List dead letters, newest first."),
    "show": Entry("app.commands.dead_letters:show", "Show one dead letter with its record."),
    "redrive": Entry("app.commands.dead_letters:redrive", "Retry dead letters."),
    "dismiss": Entry("app.commands.dead_letters:dismiss", "Close dead letters without a retry."),
}


@click.group(cls=LazyGroup, entries=_CALLS)
def calls() -> None:
    """Import, list and show logged LLM calls."""


@click.group(cls=LazyGroup, entries=_SCORERS, invoke_without_command=True)
@click.option("--project", type=Project(), help="Include the scorers published for this project only.")
@click.option("--kinds", is_flag=True, help="List the kinds that can be published, with their parameters.")
@json_lines_option
@client_options
async def scorers(project: str | None, kinds: bool, as_json: bool, client: "Client") -> None:
    """List, publish, try and compare scorers. Without a command, list them."""
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        from app.commands.scorers import list_

        await list_(client, project, kinds, as_json)
    elif any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in context.params):
        raise bad_usage(f"Put the options after the command: callscore scorers {context.invoked_subcommand} …")


@click.group(cls=LazyGroup, entries=_RULES)
def rules() -> None:
    """Score calls as they are logged: all that meet conditions, or a share of them."""


@click.group(cls=LazyGroup, entries=_WEAVE)
def weave() -> None:
    """Score the calls of a W&B Weave, hosted or self-hosted: pull its calls, push scores as feedback."""


@click.group(cls=LazyGroup, entries=_KEYS)
def keys() -> None:
    """Create, list and withdraw API keys."""


@click.group(cls=LazyGroup, entries=_LOG)
def log() -> None:
    """Inspect, back up, export and import the log.

    Uses the settings of the service: CALLSCORE_BROKER, CALLSCORE_DATA_DIR and so on.
    """


@click.group("dead-letters", cls=LazyGroup, entries=_DEAD_LETTERS)
def dead_letters() -> None:
    """Show, retry or dismiss dead letters: records that could not be processed."""
