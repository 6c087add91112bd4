"""Keeps published scorers in tables/scorers."""

from typing import Any

from agents.stream import consume
from app import topics
from app.faust_app import app
from tables import folds


@app.agent(topics.scorers.channel(), name="scorers")
async def scorers_agent(stream: Any) -> None:
    await consume(stream, folds.SCORERS)
