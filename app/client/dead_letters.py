"""Dead letters: records that could not be processed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from app.client.http import Client
from app.client.output import note
from app.client.progress import Bar, bar
from app.client.text import plural


class Closed(NamedTuple):
    """How many letters were retried or dismissed, and how many cannot be retried since they lack their records."""

    letters: int
    left_out: int


async def find(client: Client, letter_id: str) -> dict[str, Any]:
    """One letter, with the key and value of its record."""
    return await client.get(f"/dead-letters/{quote(letter_id, safe='')}")


def closed(letter: Mapping[str, Any]) -> str | None:
    """How a letter was closed and when; None while it is open."""
    if letter["redriven_at"] is not None:
        return f"retried at {letter['redriven_at']}"
    return None if letter["dismissed_at"] is None else f"dismissed at {letter['dismissed_at']}"


async def redrive(client: Client, filters: Mapping[str, str], letter_ids: Sequence[str] = ()) -> Closed:
    """Retry the open letters that match up to now. Shows its progress.

    Raises CommandError if a letter with one of the ids does not exist.
    """
    with bar("Retrying") as shown:
        return await _order(client, "redrive", "redriven", filters, letter_ids, shown)


async def dismiss(client: Client, filters: Mapping[str, str], letter_ids: Sequence[str] = ()) -> Closed:
    """Close the open letters that match up to now without retrying them. As `redrive`."""
    with bar("Dismissing") as shown:
        return await _order(client, "dismiss", "dismissed", filters, letter_ids, shown)


async def _order(
    client: Client, order: str, done: str, filters: Mapping[str, str], letter_ids: Sequence[str], shown: Bar
) -> Closed:
    body: dict[str, Any] = dict(filters)
    if letter_ids:
        body["ids"] = list(letter_ids)
        for letter_id in letter_ids:
            if (before := closed(await find(client, letter_id))) is not None:
                note(f"{letter_id} was already {before}, so it is skipped.")
    letters = left_out = 0
    while True:
        answer = await client.post(f"/dead-letters/{order}", orjson.dumps(body))
        letters += answer[done]
        left_out += answer["left_out"]
        if not answer["more"]:
            return Closed(letters, left_out)
        body |= {"until": answer["until"], "cursor": answer["next_cursor"]}
        shown.show(letters, None, plural(letters, "letter"))
