"""What the metric of dead letters shows before there is one."""

from typing import get_args

import pytest
from prometheus_client import REGISTRY

import agents.dead_letters  # noqa: F401 - it makes the metric
from app import topics
from app.events import BuryReason


@pytest.mark.parametrize("topic", topics.NAMES)
@pytest.mark.parametrize("reason", get_args(BuryReason))
def test_the_first_letter_of_a_topic_and_reason_is_an_increase(topic: str, reason: str) -> None:
    labels = {"topic": topic, "reason": reason}
    assert REGISTRY.get_sample_value("callscore_dead_letters_total", labels) is not None
