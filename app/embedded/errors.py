"""What can go wrong with the embedded log, each with a sentence that says what to do."""

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
    """There is no log where one is to be read."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"There is no log at {path}: name the directory of one.")


class LogElsewhere(EmbeddedLogError):
    """The log lies where an earlier version kept it."""

    def __init__(self, path: Path, before: Path) -> None:
        super().__init__(
            f"There are no records at {path}, but a log at {before}, where earlier versions kept the one of this path: "
            f"move all files of that log into {path}, in place of what may be there, or start with another path."
        )


class LogFormatMismatch(EmbeddedLogError):
    """The log was written by a version whose format this one does not know."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        super().__init__(
            f"The log at {path} has format {found} and this version reads format {expected}: "
            "open it with the version that wrote it, or start with another path."
        )


class LogFailed(EmbeddedLogError):
    """A write failed: nothing is accepted until the log has been opened again."""

    def __init__(self, path: Path, reason: BaseException) -> None:
        super().__init__(self._sentence(path, reason))
        self.reason = str(reason)

    def _sentence(self, path: Path, reason: BaseException) -> str:
        return f"{path} cannot be written ({reason}): see to its disk; this goes on by itself as soon as it can be."


class LogUnsynced(LogFailed):
    """A sync failed: what was written last may be on the disk or not, and reading it from here proves nothing.

    The kernel may have dropped what it could not write, and still show it to this process.
    """

    def _sentence(self, path: Path, reason: BaseException) -> str:
        return (
            f"{path} could not be synced ({reason}), so that nobody knows what is on its disk: see to the disk, "
            "then start the process again. Nothing that was acknowledged is lost."
        )


class LogClosed(EmbeddedLogError):
    """The log has been closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"The log at {path} is closed: start the producer or consumer before using it.")


class LogCorrupt(EmbeddedLogError):
    """Records that must be there cannot be read."""

    def __init__(self, path: Path, topic: str, partition: int, offset: int, end: int) -> None:
        super().__init__(
            f"The log at {path} has no readable record of {topic}/{partition} from offset {offset} "
            f"to its end {end}: restore the directory from a backup."
        )


class LogBlockCorrupt(EmbeddedLogError):
    """What is on the disk is not what was written there."""

    def __init__(self, path: Path, reason: object) -> None:
        super().__init__(f"The log at {path} is damaged ({reason}): restore the directory from a backup.")


class LogNotEmpty(EmbeddedLogError):
    """Something is to be written where something is already."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"There is something at {path} already: name a path where nothing is.")


class InvalidTopic(EmbeddedLogError):
    """A topic name or partition count that cannot be stored."""

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
    """An offset that the partition does not have."""

    def __init__(self, topic: str, partition: int, offset: int, end: int) -> None:
        super().__init__(f"Offset {offset} of {topic}/{partition} is not between 0 and its end {end}.")


class NotCompacted(EmbeddedLogError):
    """Each record of the topic counts, also where a newer one has its key."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"Topic {topic} is kept whole, so it is not compacted: name a changelog, "
            "or another topic that was declared with cleanup.policy=compact."
        )


class CleaningStopped(EmbeddedLogError):
    """Cleaning could not go on. What was done is whole, and it goes on from there when it is tried again."""

    def __init__(self, path: Path, reason: BaseException) -> None:
        super().__init__(
            f"Cleaning the log at {path} stopped ({reason}). No record that counts is gone: see to the disk, "
            "then clean it again."
        )
