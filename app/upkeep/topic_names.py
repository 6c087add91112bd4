"""The names of the topics: in an export, without the prefix of the settings, and in the log, with it."""

from app import topics
from app.settings import Settings

CHANGELOGS = "callscore-"  # begins the names of changelog topics, after the prefix


def primary(settings: Settings) -> dict[str, str]:
    """The name in the log of each primary topic, by its name in an export; causes come before effects."""
    return {topic.name.removeprefix(settings.kafka_prefix): topic.name for topic in topics.ALL}


def imported(settings: Settings) -> set[str]:
    """The topics of an export that an import takes: all but dead letters, which its records become again."""
    return primary(settings).keys() - {topics.plain(topics.dead_letters.name)}
