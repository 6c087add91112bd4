"""Who may export from Kafka and import into it: nobody else works on it then."""

from typing import Any, cast

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError

from app.kafka.members import Member
from app.settings import Settings
from app.upkeep import kafka


async def test_a_new_kafka_that_has_no_coordinator_for_a_moment_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    async def members(admin: Any, group: str) -> list[Member]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise GroupCoordinatorNotAvailableError
        return []

    monkeypatch.setattr("app.kafka.members.members", members)
    await kafka.check_nobody_works(cast("Any", None), Settings(broker="kafka://127.0.0.1:9092"))
    assert asked == 2
