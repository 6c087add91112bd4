"""Runs of scorers within a time that the test sets."""

from dataclasses import replace

from app.scorers import BoundScorer, Call, Policy, Report, Runner
from app.scorers.host_process import OnRequest


def timed(bound: BoundScorer, seconds: float) -> BoundScorer:
    """The scorer, stopped after so many seconds."""
    return replace(bound, policy=Policy(timeout=seconds))


async def run_within(
    runner: Runner,
    bound: BoundScorer,
    call: Call,
    seconds: float,
    report: Report | None = None,
    on_request: OnRequest | None = None,
) -> bytes:
    """What the scorer returned, stopped after so many seconds."""
    return await runner.run(timed(bound, seconds), call, report, on_request)
