"""`/dead-letters`: records that could not be processed, trying them again, and dismissing them.

Those that name a project are for its keys; all of them, also those that nobody can read, for keys of every project.
"""

import base64
import time
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

from aiohttp import web
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app import cluster, raw, topics
from app.events import BuryReason, LetterDismissed, LetterRedriven
from app.web import catching_up, log_writes
from app.web.auth import USER, check_all_projects, check_read
from app.web.bodies import read_object, validate
from app.web.errors import not_found
from app.web.paging import bad_cursor, collect_backwards, decode_cursor, encode_cursor, from_every_worker, listing
from app.web.queries import Id, PageQuery, Query, Time, parse
from app.web.responses import json_response, timestamp
from tables import dead_letters
from tables.dead_letters import Filters

_AT_ONCE = 1_000


def _known(topic: str) -> str:
    if topic not in topics.NAMES:
        raise ValueError(f"there is no topic {topic!r}; there are: {', '.join(topics.NAMES)}")
    return topic


Topic = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(topics.NAMES)})]


class Which(BaseModel):
    """Which letters, by their record's project, topic and time, and by reason."""

    project_id: Id | None = None
    topic: Topic | None = None
    reason: BuryReason | None = None
    since: Time | None = None
    until: Time | None = None

    def filters(self, redriven: bool | None, dismissed: bool | None) -> Filters:
        return {
            "project_id": self.project_id,
            "topic": self.topic,
            "reason": self.reason,
            "since": None if self.since is None else self.since.timestamp(),
            "until": None if self.until is None else self.until.timestamp(),
            "redriven": redriven,
            "dismissed": dismissed,
        }


class LettersQuery(Which, PageQuery):
    redriven: bool | None = None
    dismissed: bool | None = Field(None, description="False, and `redriven` too: only open letters.")

    def gave(self, key: str) -> bool:
        return dead_letters.is_id(key)


class LetterOrder(Which):
    """Which of the open letters to redrive or dismiss; a field that is left out does not restrict them."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[Id], Field(max_length=_AT_ONCE)] | None = None
    cursor: str | None = None


async def list_letters(request: web.Request) -> web.Response:
    """Dead letters, by when their record was written, newest first; without what is in it."""
    query = parse(LettersQuery, request)
    _check(request, query.project_id, "query")
    if query.after is None:
        await catching_up.seen_by_who_answers(topics.dead_letters)
    filters = query.filters(query.redriven, query.dismissed)
    found, next_key = await collect_backwards(dead_letters.page, query.after, query.limit, filters)
    return json_response(listing([_letter(letter) for letter in found], next_key))


async def get_letter(request: web.Request) -> web.Response:
    """One dead letter, with key and value of its record."""
    parse(Query, request)
    letter_id = request.match_info["letter_id"]
    [letter] = await _named([letter_id])
    if letter is None or not _may_see(request, letter["project_id"]):
        raise not_found("Letter", "path", "letter_id")
    key, value = (None if letter[part] is None else base64.b64decode(letter[part]) for part in ("key", "value"))
    return json_response({**_letter(letter), **raw.text_field("key", key), **raw.json_field("value", value)})


async def redrive_letters(request: web.Request) -> web.Response:
    """Append the records of dead letters once more, at most 1,000; each only the first time that it is asked for.

    It is answered when the orders are durable: `redriven` of them; `more` says to ask again, with `until`, since what
    fails again makes new letters, and with `next_cursor` as the cursor, so that nothing is looked at twice. `left_out`
    are letters whose record was too large to be kept in them. Of two orders for one letter that are sent at once both
    count it, and the first one in the log is what happens.
    """
    found = await _open_letters(request)
    kept = [letter for letter in found.letters if not letter["left_out"]]
    return await _ordered(request, LetterRedriven, "redriven", kept, found)


async def dismiss_letters(request: web.Request) -> web.Response:
    """Close dead letters without trying their records again, at most 1,000; answered as `redrive_letters`.

    Nothing is lost of them, and any letter can be dismissed, also one that has not kept its record.
    """
    found = await _open_letters(request)
    return await _ordered(request, LetterDismissed, "dismissed", found.letters, found)


class _Open(NamedTuple):
    """Letters that an order is for: whose records were written up to `until`; behind `next_key` there may be more."""

    letters: list[dict[str, Any]]
    until: datetime
    next_key: str | None


async def _open_letters(request: web.Request) -> _Open:
    parse(Query, request)
    order = validate(LetterOrder, await read_object(request))
    if order.ids is None or order.project_id is not None:
        _check(request, order.project_id, "body")
    after = decode_cursor(order.cursor, "body")
    if after is not None and not dead_letters.is_id(after):
        raise bad_cursor("body")
    await catching_up.seen_by_who_answers(topics.dead_letters)
    until = datetime.now(UTC) if order.until is None else order.until
    filters = order.model_copy(update={"until": until}).filters(redriven=False, dismissed=False)
    if order.ids is None:
        letters = collect_backwards(dead_letters.page, after, _AT_ONCE, filters)
        found, next_key = await from_every_worker(letters)
        return _Open(found, until, next_key)
    named = [letter for letter in await _named(list(dict.fromkeys(order.ids))) if letter is not None]
    seen = [letter for letter in named if _may_see(request, letter["project_id"])]
    return _Open([letter for letter in seen if dead_letters.matches(letter, filters)], until, None)


async def _ordered(
    request: web.Request,
    order: type[LetterRedriven] | type[LetterDismissed],
    name: str,
    letters: list[dict[str, Any]],
    found: _Open,
) -> web.Response:
    """The answer once the orders for these letters are durable; `name` is what it calls their number."""
    who, when = request[USER].name, time.time()
    orders = [order(letter_id=letter["id"], asked_by=who, asked_at=when) for letter in letters]
    await log_writes.durable(
        [
            log_writes.append(topics.dead_letters, one.letter_id.encode(), one.encode(), letter["partition"])
            for one, letter in zip(orders, letters, strict=True)
        ]
    )
    return json_response(
        {
            name: len(letters),
            "left_out": len(found.letters) - len(letters),
            "until": timestamp(found.until.timestamp()),
            "more": found.next_key is not None,
            "next_cursor": encode_cursor(found.next_key),
        }
    )


async def _named(letter_ids: list[str]) -> list[dict[str, Any] | None]:
    """The letters with these ids."""
    answers = cluster.whole(await cluster.everywhere(dead_letters.find_all, letter_ids))
    found = {letter["id"]: letter for letters in answers.values() for letter in letters}
    return [found.get(letter_id) for letter_id in letter_ids]


def _letter(letter: dict[str, Any]) -> dict[str, Any]:
    """A letter as clients see it."""
    redriven, dismissed = letter["redriven"], letter["dismissed"]
    return {
        "id": letter["id"],
        "topic": letter["topic"],
        "partition": letter["partition"],
        "offset": letter["offset"],
        "reason": letter["reason"],
        "detail": letter["detail"],
        "project_id": letter["project_id"],
        "bytes": letter["bytes"],
        "left_out": letter["left_out"],
        "logged_at": timestamp(letter["at"] if letter["logged_at"] is None else letter["logged_at"]),
        "at": timestamp(letter["at"]),
        "redrive_of": letter["redrive_of"],
        "redriven_at": None if redriven is None else timestamp(redriven["asked_at"]),
        "redriven_by": None if redriven is None else redriven["asked_by"],
        "dismissed_at": None if dismissed is None else timestamp(dismissed["asked_at"]),
        "dismissed_by": None if dismissed is None else dismissed["asked_by"],
    }


def _check(request: web.Request, project_id: str | None, where: str) -> None:
    if project_id is not None:
        check_read(request, project_id, loc=(where, "project_id"))
    else:
        message = "All dead letters are for keys of every project; name a project to see only its own"
        check_all_projects(request, message, (where, "project_id"))


def _may_see(request: web.Request, project_id: str | None) -> bool:
    return request[USER].may_use_all() or (project_id is not None and request[USER].may_use(project_id))
