"""Query strings: one model a view, with FastAPI's answer to every mistake."""

import re
from collections import Counter
from datetime import datetime
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from app import ids
from app.web.errors import invalid, problem
from app.web.paging import DEFAULT_LIMIT, MAX_LIMIT, bad_cursor, decode_cursor
from app.web.responses import timestamp


def _in_utc(time: datetime) -> datetime:
    """`time`, if UTC can express it: an offset may move it out of the years 1 to 9999."""
    try:
        timestamp(time.timestamp())
    except (ValueError, OverflowError):
        raise ValueError("must lie in the years 1 to 9999 of UTC") from None
    return time


def _midnight(value: object) -> object:
    """A date is its midnight in UTC."""
    return f"{value}T00:00:00Z" if isinstance(value, str) and _DATE.fullmatch(value) else value


_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
Id = Annotated[str, AfterValidator(ids.check_id)]
Ref = Annotated[str, AfterValidator(ids.without_control)]  # or what may have been one: scorers come and go
Time = Annotated[AwareDatetime, BeforeValidator(_midnight), AfterValidator(_in_utc)]


class Query(BaseModel):
    """Parameters that a view knows; others are refused, since a misspelt filter would silently not filter."""

    model_config = ConfigDict(extra="forbid")


class PageQuery(Query):
    """Parameters of every list."""

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: str | None = None

    @property
    def after(self) -> str | None:
        """The key to go on behind. Raises ApiError, 422, if the list cannot have given out the cursor."""
        key = decode_cursor(self.cursor)
        if key is not None and not self.gave(key):
            raise bad_cursor()
        return key

    def gave(self, key: str) -> bool:
        """Whether the list may have such a key, as far as that can be seen: behind another's it might seem empty."""
        return True


Q = TypeVar("Q", bound=Query)


def parse(model: type[Q], request: web.Request) -> Q:
    """The request's query string as `model`.

    Raises:
        ApiError: 422 with every `loc` behind `query`; also for a parameter given twice, since one of the two would
            silently not filter.
    """
    [(name, times)] = Counter(name for name, _ in request.query.items()).most_common(1) or [("", 0)]
    if times > 1:
        raise problem(422, ["query", name], "The parameter is given more than once", "repeated")
    try:
        return model.model_validate(dict(request.query.items()))
    except ValidationError as error:
        raise invalid(error, "query") from None
