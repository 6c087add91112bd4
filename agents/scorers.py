"""Keeps published scorers in tables/scorers."""

from typing import Any

from agents.stream import Record, consume
from app import topics
from app.events import ScorerPublished
from app.faust_app import app
from tables import scorers


@app.agent(topics.scorers.channel(), name="scorers")
async def scorers_agent(stream: Any) -> None:
    await consume(stream, ScorerPublished.model_validate_json, handle)


def handle(record: Record, event: ScorerPublished) -> None:
    row = scorers.load(record.partition, event.project_id, event.name)
    scorers.save(record.partition, event.project_id, event.name, scorers.fold(row, event, record.offset))
