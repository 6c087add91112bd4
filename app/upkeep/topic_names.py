"""The names of the topics: in an export, without the prefix of the settings, and in the log, with it."""

from collections.abc import Mapping

import tables.folds  # noqa: F401 - so that all tables are known
from app import topics
from app.kafka.cluster import COMPACTED, KEPT_FOR_EVER
from app.settings import Settings
from tables.base import tables as all_tables


def primary(settings: Settings) -> dict[str, str]:
    """The name in the log of each primary topic, by its name in an export; causes come before effects."""
    return {topic.name.removeprefix(settings.kafka_prefix): topic.name for topic in topics.ALL}


def imported(settings: Settings) -> set[str]:
    """The topics of an export that an import takes: all but dead letters, which its records become again."""
    return primary(settings).keys() - {topics.plain(topics.dead_letters.name)}


def in_kafka() -> dict[str, Mapping[str, str]]:
    """Every topic that workers use in Kafka, and its config."""
    changelogs = (table.changelog_topic.get_topic_name() for table in all_tables)
    return {
        **dict.fromkeys((topic.name for topic in topics.ALL), KEPT_FOR_EVER),
        **dict.fromkeys(changelogs, COMPACTED),
    }
