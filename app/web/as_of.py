"""`as_of`: asking what the answer was at a time."""

import time
from datetime import datetime

from app import topics
from app.web import log_writes
from app.web.errors import problem


async def settled(as_of: datetime | None) -> float | None:
    """Unix seconds of a time up to which everything in the log is in the tables, so that the answer never changes.

    Raises:
        ApiError: 422, it has not come yet; 503, the tables are too far behind.
    """
    if as_of is None:
        return None
    seconds = as_of.timestamp()
    if seconds > time.time():
        raise problem(422, ["query", "as_of"], "The time has not come yet", "as_of_in_the_future")
    await log_writes.all_seen_everywhere(topics.score_events)
    return seconds
