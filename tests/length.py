"""How long tests go on: short in the suite, in full in `make soak`."""

import os
from typing import TypeVar

N = TypeVar("N", int, float)


def at_length(short: N, full: N) -> N:
    """`full` in `make soak`, else `short`."""
    return full if os.environ.get("CALLSCORE_SOAK") == "1" else short
