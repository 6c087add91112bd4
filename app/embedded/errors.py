"""The errors of the embedded log, each with a message that says what to do."""

from pathlib import Path


class EmbeddedLogError(Exception):
    """Base of every error that the embedded log raises."""


class LogLocked(EmbeddedLogError):
    """Another process has the log open."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"The log at {path} is open in another process: stop that process, or give this one a path of its own."
        )


class LogUnavailable(EmbeddedLogError):
    """The log's directory cannot be created or opened."""

    def __init__(self, path: Path, reason: BaseException) -> None:
        super().__init__(
            f"The log at {path} cannot be opened ({reason}): see that the directory is writable and whole."
        )


class NoLog(EmbeddedLogError):
    """There is no log at this path."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"There is no log at {path}: name the directory of one.")


class LogFormatMismatch(EmbeddedLogError):
    """The log was written by a version whose format this one does not know."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        super().__init__(
            f"The log at {path} has format {found} and this version reads format {expected}: "
            "open it with the version that wrote it, or start with another path."
        )


class LogFailed(EmbeddedLogError):
    """A write failed: nothing is accepted until the log has been opened again."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(self._sentence(path, reason))
        self.reason = str(reason)

    def _sentence(self, path: Path, reason: object) -> str:
        return f"{path} cannot be written ({reason}): see to its disk; this goes on by itself as soon as it can be."


class LogUnsynced(LogFailed):
    """A sync failed, so it is unknown which of the last writes are on the disk.

    Reading them back proves nothing: the kernel may show this process what it failed to write.
    """

    def _sentence(self, path: Path, reason: object) -> str:
        return (
            f"{path} could not be synced ({reason}), so that nobody knows what is on its disk: see to the disk, "
            "then start the process again. Nothing that was acknowledged is lost."
        )


class LogClosed(EmbeddedLogError):
    """The log has been closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"The log at {path} is closed: start the producer or consumer before using it.")


class LogCorrupt(EmbeddedLogError):
    """Records are missing that should be in the log."""

    def __init__(self, path: Path, topic: str, partition: int, offset: int, end: int) -> None:
        super().__init__(
            f"The log at {path} has no readable record of {topic}/{partition} from offset {offset} "
            f"to its end {end}: restore the directory from a backup."
        )


class LogBlockCorrupt(LogFailed):
    """A checksum or the structure of the stored data is wrong; a read found it, or a write after RocksDB's own read."""

    def _sentence(self, path: Path, reason: object) -> str:
        return f"The log at {path} is damaged ({reason}): restore the directory from a backup."


class LogUnreadable(EmbeddedLogError):
    """A read failed, though nothing is known to be damaged."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(
            f"The log at {path} cannot be read ({reason}): see to its disk and to the limit of open files, "
            "then start the process again. Nothing is known to be lost."
        )


class LogNotCopied(EmbeddedLogError):
    """A copy of the log cannot be made."""

    def __init__(self, path: Path, reason: BaseException) -> None:
        super().__init__(f"The log cannot be copied to {path} ({reason}): see that its disk has room, and try again.")


class LogNotEmpty(EmbeddedLogError):
    """The path for a new log already exists."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"There is something at {path} already: name a path where nothing is.")


class InvalidTopic(EmbeddedLogError):
    """A topic has an invalid name or partition count."""

    def __init__(self, topic: str, partitions: int) -> None:
        super().__init__(
            f"Topic {topic!r} with {partitions} partitions cannot be created: "
            "a name has 1 to 249 characters without NUL, and a topic has at least one partition."
        )


class UnknownTopic(EmbeddedLogError):
    """The topic, or this partition of it, does not exist."""

    def __init__(self, topic: str, partition: int | None = None) -> None:
        name = topic if partition is None else f"{topic}/{partition}"
        super().__init__(f"{name} does not exist in the log: declare the topic, and name one of its partitions.")


class PartitionCountMismatch(EmbeddedLogError):
    """The topic exists with another number of partitions."""

    def __init__(self, topic: str, existing: int, wanted: int) -> None:
        super().__init__(
            f"Topic {topic} has {existing} partitions and {wanted} were asked for: the count is fixed for the life "
            f"of a log, so ask for {existing}, or move to a new log with: callscore log export, callscore log import."
        )


class InvalidOffset(EmbeddedLogError):
    """The offset is outside the partition."""

    def __init__(self, topic: str, partition: int, offset: int, end: int) -> None:
        super().__init__(f"Offset {offset} of {topic}/{partition} is not between 0 and its end {end}.")


class NotCompacted(EmbeddedLogError):
    """The topic may not be compacted, as all of its records count."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"Topic {topic} is kept whole, so it is not compacted: name a changelog, "
            "or another topic that was declared with cleanup.policy=compact."
        )


class CleaningStopped(EmbeddedLogError):
    """Cleaning stopped at an error. What it has done is consistent, and the next cleaning continues from there."""

    def __init__(self, path: Path, reason: BaseException) -> None:
        super().__init__(
            f"Cleaning the log at {path} stopped ({reason}). No record that counts is gone: see to the disk, "
            "then clean it again."
        )
