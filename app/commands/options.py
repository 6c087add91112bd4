"""Options that several commands take."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from app.client.defaults import DEFAULT_URL, default_url
from app.client.output import note
from app.commands.types import Project
from app.urls import has_user, is_base_url, is_key

if TYPE_CHECKING:  # importing it takes longer than all of help
    from app.client.http import Service

project_option = click.option("--project", type=Project(), required=True, help="The project, as entity/name.")
table_limit_option = click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), help="Show at most N. Default: 50 in a table, otherwise all."
)


def limit_option(least: int, default: int, text: str) -> Callable[..., Any]:
    """--limit of a command that shows a few unless told otherwise."""
    return click.option(
        "--limit", metavar="N", type=click.IntRange(min=least), default=default, show_default=True, help=text
    )


def json_option(text: str) -> Callable[..., Any]:
    """--json, which a command gets as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=text)


json_lines_option = json_option("Print one JSON object per line.")


def service_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --url and --api-key to a command, which gets them as one `service`."""

    @click.option(
        "--url",
        envvar="CALLSCORE_URL",
        default=default_url,
        show_default="CALLSCORE_URL, else this machine at CALLSCORE_WEB_PORT or 6066",
        help="URL of the service.",
    )
    @click.option("--api-key", envvar="CALLSCORE_API_KEY", help="API key; safer to set in CALLSCORE_API_KEY.")
    @wraps(function)
    def with_service(*args: Any, url: str, api_key: str | None, **kwargs: Any) -> Any:
        from app.client.http import Service

        return function(*args, service=Service(_checked_url(url), _checked_key(api_key)), **kwargs)

    return with_service


def client_options(function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    """Add --url and --api-key to an async command, which gets a `client` of that service."""

    @service_options
    @wraps(function)
    def with_client(*args: Any, service: "Service", **kwargs: Any) -> Any:
        from app.client.http import Client

        async def run() -> Any:
            async with Client(service, on_wait=note, name_of=_name_of) as client:
                return await function(*args, client=client, **kwargs)

        return asyncio.run(run())

    return with_client


def bad_usage(sentence: str) -> click.UsageError:
    """The error to raise when options do not go together; it names the help of the running command."""
    return click.UsageError(sentence, click.get_current_context())


def _name_of(place: str) -> str:
    """The option or argument of the running command that a place in a request is filled from; itself if there is none.

    `body.project_id` from --project, `query.group_by` from --by, `body.call_ids.7` from CALL_ID.
    """
    context = click.get_current_context()
    field, _, inside = place.removesuffix(".[key]").partition(".")[2].partition(".")
    for parameter in context.command.params:
        name = parameter.opts[0]
        if f"_{_stem(field)}".endswith(f"_{_stem(name.lstrip('-'))}"):
            shown = name if isinstance(parameter, click.Option) else parameter.make_metavar(context).strip("[].")
            return f"{shown} {inside}" if inside and not inside.isdecimal() else shown
    return place


def _stem(name: str) -> str:
    return name.lower().replace("-", "_").removesuffix("s").removesuffix("_id").removesuffix("_ref")


def _checked_url(url: str) -> str:
    if has_user(url):  # and so perhaps a key, which is not to be shown
        raise click.UsageError("The URL of the service must not contain an API key; set CALLSCORE_API_KEY instead.")
    if not is_base_url(url):
        raise click.UsageError(f"The URL of the service must look like {DEFAULT_URL}, not {url!r}.")
    return url.rstrip("/")


def _checked_key(key: str | None) -> str | None:
    if key and not is_key(key):
        raise click.UsageError("An API key has only printable ASCII characters and no spaces.")
    return key or None
