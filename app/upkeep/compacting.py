"""Compacting the embedded log of a stopped service; a running one does so by itself."""

from pathlib import Path

from app.embedded.cleaning import CleanedStats
from app.embedded.errors import NoLog
from app.embedded.log import Log
from app.embedded.policy import Policy
from app.embedded.store import is_log
from app.upkeep import paths
from app.upkeep.errors import as_command_errors, no_topic


async def compact(directory: Path | None, topic: str | None) -> dict[str, CleanedStats]:
    """Compact one topic, or every topic that is configured to be compacted; returns what was removed, by topic.

    Raises:
        CommandError: the log is in use or cannot be written.
        BadInput: there is no such topic, or it is not compacted.
    """
    with as_command_errors():
        path = paths.log_at(directory)
        if not is_log(path):
            raise NoLog(path)
        log = Log(path)
        try:
            if topic is not None and topic not in log.topics:
                raise no_topic(topic, log.topics)
            compacted = [name for name, found in log.topics.items() if Policy.of(found.config).compact]
            chosen = sorted(compacted) if topic is None else [topic]
            return {name: await log.compact(name) for name in chosen}
        finally:
            await log.close()
