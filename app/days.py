"""The days of spend caps, which begin when settings say so."""

from datetime import time

DAY = 86_400  # seconds


def day_of(at: float, start: time) -> int:
    """When the day of a moment began, Unix seconds; days begin at `start`, UTC."""
    seconds = start.hour * 3600 + start.minute * 60 + start.second
    return int((at - seconds) // DAY) * DAY + seconds
