"""The days of spend caps, which begin when settings say so."""

from datetime import time

DAY = 86_400  # seconds


def day_of(at: float, start: time) -> int:
    """When the day began that a moment is in, Unix seconds, of days that begin at `start`, UTC."""
    seconds = start.hour * 3600 + start.minute * 60 + start.second
    return int((at - seconds) // DAY) * DAY + seconds
