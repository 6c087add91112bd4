"""The names of the topics: in an export, without the prefix of the settings, and in the log, with it."""

from app import topics

PRIMARY = {topics.plain(topic.name): topic.name for topic in topics.ALL}
"""The name in the log of each primary topic, by its name in an export; causes come before effects."""

IMPORTED = PRIMARY.keys() - {topics.plain(topics.dead_letters.name)}
"""The topics of an export that an import takes: all but dead letters, which its records become again."""
