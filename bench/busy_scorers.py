"""A scorer that computes, for CALLSCORE_SCORERS."""

import time

from app.scorers import scorer

SECONDS = 0.02


@scorer
def busy(output: str) -> dict[str, int]:
    """Takes 20 ms of CPU, in a worker process, since it is not async."""
    started, rounds = time.process_time(), 0
    while time.process_time() - started < SECONDS:
        rounds += 1
    return {"score": rounds}
