"""What `callscore scorers --kinds` says of a judge's parameters can be copied."""

import re

from pydantic import TypeAdapter

from app.judges import LlmJudge
from app.judges.scales import Scale


def test_every_scale_that_the_help_shows_is_one() -> None:
    scale = LlmJudge.model_json_schema()["properties"]["scale"]["description"]
    shown = [TypeAdapter(Scale).validate_json(found) for found in re.findall(r"\{.*?\}", scale)]
    assert [one.type for one in shown] == ["number", "label", "boolean"]
    assert '"boolean"' not in re.sub(r"\{.*?\}", "", scale)
    assert "passing" in scale
