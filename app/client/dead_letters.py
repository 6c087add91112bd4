"""Dead letters: records that could not be processed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from app.client.http import Client
from app.client.output import note


class Redriven(NamedTuple):
    """How many records are tried again, and how many cannot be, as their letters have not kept them."""

    tried: int
    left_out: int


async def find(client: Client, letter_id: str) -> dict[str, Any]:
    """One letter, with key and value of its record."""
    return await client.get(f"/dead-letters/{quote(letter_id, safe='')}")


async def redrive(client: Client, filters: Mapping[str, str], letter_ids: Sequence[str] = ()) -> Redriven:
    """Have the records of letters tried again that match and have not been, up to now.

    Raises CommandError if there is no letter that is named.
    """
    body: dict[str, Any] = dict(filters)
    if letter_ids:
        body["ids"] = list(letter_ids)
        for letter_id in letter_ids:
            letter = await find(client, letter_id)
            if letter["redriven_at"] is not None:
                note(f"The record of {letter_id} was tried again before, at {letter['redriven_at']}.")
    tried = 0
    while True:
        answer = await client.post("/dead-letters/redrive", orjson.dumps(body))
        tried += answer["redriven"]
        body["until"] = answer["until"]
        if not answer["more"]:
            return Redriven(tried, answer["left_out"])
