"""What the topics of the log are called, in an export and in the log itself."""

from app import topics
from app.settings import Settings

CHANGELOGS = "callscore-"  # what the names of the tables' topics begin with, behind the prefix


def primary(settings: Settings) -> dict[str, str]:
    """Every primary topic's name without and with the prefix of the settings, in an order that tells causes first."""
    return {topic.name.removeprefix(settings.kafka_prefix): topic.name for topic in topics.ALL}


def moved(settings: Settings) -> set[str]:
    """Those without the prefix that an import takes, which is all but dead letters."""
    return primary(settings).keys() - {topics.plain(topics.dead_letters.name)}
