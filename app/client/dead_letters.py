"""Dead letters: records that could not be processed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from app.client.http import Client
from app.client.output import note
from app.client.progress import Bar, bar
from app.client.text import plural


class Ordered(NamedTuple):
    """How many letters were tried again or dismissed, and how many cannot be, as they have not kept their records."""

    letters: int
    left_out: int


async def find(client: Client, letter_id: str) -> dict[str, Any]:
    """One letter, with key and value of its record."""
    return await client.get(f"/dead-letters/{quote(letter_id, safe='')}")


def closed(letter: Mapping[str, Any]) -> str | None:
    """What became of a letter and when; None while it is open."""
    if letter["redriven_at"] is not None:
        return f"tried again at {letter['redriven_at']}"
    dismissed_at = letter.get("dismissed_at")  # of which a service of before says nothing
    return None if dismissed_at is None else f"dismissed at {dismissed_at}"


async def redrive(client: Client, filters: Mapping[str, str], letter_ids: Sequence[str] = ()) -> Ordered:
    """Have the records of open letters tried again that match up to now. Shows its progress.

    Raises CommandError if there is no letter that is named.
    """
    with bar("Trying again") as shown:
        return await _order(client, "redrive", "redriven", filters, letter_ids, shown)


async def dismiss(client: Client, filters: Mapping[str, str], letter_ids: Sequence[str] = ()) -> Ordered:
    """Close open letters that match up to now without trying their records again. As `redrive`."""
    with bar("Dismissing") as shown:
        return await _order(client, "dismiss", "dismissed", filters, letter_ids, shown)


async def _order(
    client: Client, order: str, done: str, filters: Mapping[str, str], letter_ids: Sequence[str], shown: Bar
) -> Ordered:
    body: dict[str, Any] = dict(filters)
    if letter_ids:
        body["ids"] = list(letter_ids)
        for letter_id in letter_ids:
            if (before := closed(await find(client, letter_id))) is not None:
                note(f"{letter_id} was {before}, and stays so.")
    letters = left_out = 0
    while True:
        answer = await client.post(f"/dead-letters/{order}", orjson.dumps(body))
        letters += answer[done]
        left_out += answer["left_out"]
        if not answer["more"]:
            return Ordered(letters, left_out)
        body["until"] = answer["until"]
        if "next_cursor" in answer:  # else the service is of before, and looks at all of them anew
            body["cursor"] = answer["next_cursor"]
        shown.show(letters, None, plural(letters, "letter"))
