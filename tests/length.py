"""How long tests go on: short in the suite, in full in `make soak`."""

import os


def at_length(short: int, full: int) -> int:
    """`full` in `make soak`, else `short`."""
    return full if os.environ.get("CALLSCORE_SOAK") == "1" else short
