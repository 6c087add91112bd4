"""Keeps in tables/weave what Weave's SDK sends beside calls and objects: files, and feedback."""

from typing import Any

from agents.stream import consume
from app import topics
from app.faust_app import app
from tables import folds


@app.agent(topics.weave.channel(), name="weave")
async def weave_agent(stream: Any) -> None:
    await consume(stream, folds.WEAVE)
