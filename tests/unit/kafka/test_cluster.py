"""Topics that are in Kafka already are compared with what the settings ask for."""

import pytest

from app.kafka.cluster import Cluster, Copies, Found, warn
from app.kafka_cluster import kafka_cluster
from app.settings import Settings
from app.upkeep.doctor import log as doctor
from app.upkeep.doctor.finding import Level


@pytest.mark.parametrize(
    ("copies", "replicas", "in_sync"),
    [
        (Copies(replicas=3, in_sync=3, needed=2), False, False),
        (Copies(replicas=3, in_sync=3, needed=3), False, False),
        (Copies(replicas=3, in_sync=3, needed=1), False, True),  # after replicas were added
        (Copies(replicas=1, in_sync=1, needed=1), True, False),  # more could not be in sync
        (Copies(replicas=2, in_sync=2, needed=1), True, True),
    ],
)
def test_a_topic_with_fewer_replicas_or_fewer_in_sync_than_wanted_is_told(
    copies: Copies, replicas: bool, in_sync: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = Found(3, {"calls": copies})

    async def look(cluster: Cluster) -> Found:
        return found

    settings = Settings(broker="kafka://127.0.0.1:9092")
    monkeypatch.setattr(doctor, "look", look)
    told = " ".join(one.sentence for one in doctor.findings(settings) if one.level is Level.WARNING)
    assert (", not 3: the setting applies to new topics only" in told) == replicas
    assert ("min.insync.replicas=1, not 2: the setting applies to new topics only" in told) == in_sync
    warn(kafka_cluster(settings, {}), found)
    assert ("fewer replicas than 3: calls (" in caplog.text) == replicas
    assert ("fewer than 2 replicas are in sync: calls (1)" in caplog.text) == in_sync
