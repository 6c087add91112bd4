"""The topics that workers use in Kafka."""

from collections.abc import Mapping

import tables.folds  # noqa: F401 - so that all tables are known
from app import topics
from app.faust_app import app
from app.kafka.cluster import COMPACTED, KEPT_FOR_EVER


def kafka_topics() -> dict[str, Mapping[str, str]]:
    """Primary topics and changelogs by name, each with its config."""
    changelogs = (table.changelog_topic.get_topic_name() for table in app.tables.values())
    return {
        **dict.fromkeys((topic.name for topic in topics.ALL), KEPT_FOR_EVER),
        **dict.fromkeys(changelogs, COMPACTED),
    }
