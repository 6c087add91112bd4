"""`as_of`: what the answer was at a time."""

import time
from datetime import datetime
from typing import Annotated

from pydantic import Field

from app import topics
from app.web import catching_up
from app.web.errors import problem
from app.web.queries import Time

AsOf = Annotated[Time | None, Field(description="Answer as of this time, which must have passed.")]


async def settled(as_of: datetime | None) -> float | None:
    """`as_of` as Unix seconds, once the tables hold everything up to then, so that the answer never changes.

    Raises:
        ApiError: 422, it lies in the future; 503, the tables are too far behind.
    """
    if as_of is None:
        return None
    seconds = as_of.timestamp()
    if seconds > time.time():
        raise problem(422, ["query", "as_of"], "The time must not be in the future", "as_of_in_the_future")
    await catching_up.seen_by_all_past(topics.score_events, seconds)
    return seconds
