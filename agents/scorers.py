"""Keeps published scorers in tables/scorers."""

from typing import Any

from agents.stream import Record, consume
from app import topics
from app.events import ScorerPublished
from app.faust_app import app
from tables import folds


@app.agent(topics.scorers.channel(), name="scorers")
async def scorers_agent(stream: Any) -> None:
    await consume(stream, folds.SCORERS.decode, handle)


def handle(record: Record, event: ScorerPublished) -> None:
    folds.SCORERS.apply(record.at, event)
