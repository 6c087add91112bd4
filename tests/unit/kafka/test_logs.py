"""What aiokafka repeats while Kafka is away does not bury what else is logged."""

import logging
from functools import partial

import pytest

from app.kafka import logs


def test_a_message_that_is_repeated_is_logged_once_in_a_while_and_others_each_time(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.limit_repeats()
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, "aiokafka")  # which doctor makes quiet
    of_child = logging.getLogger("aiokafka.consumer.fetcher")
    for now in (1000.0, 1009.0, 1010.0):
        monkeypatch.setattr("app.kafka.logs.time.monotonic", partial(float, now))
        for node in range(3):
            of_child.error("Failed fetch messages from %s", node)
            of_child.info("Fetched from %s", node)
    of_child.error("Something else")
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        "Failed fetch messages from 0",
        "Failed fetch messages from 0",
        "Something else",
    ]
    assert sum(record.levelno == logging.INFO for record in caplog.records) == 9
