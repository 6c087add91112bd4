"""The result of one check: a line for people."""

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # the service starts, but may work badly
    WRONG = "wrong"  # the service does not start, or part of it does not work


class Finding(NamedTuple):
    """The subject in a word or two, and a sentence; unless the level is ok, it also says what to do."""

    level: Level
    subject: str
    sentence: str


def ok(subject: str, sentence: str) -> Finding:
    return Finding(Level.OK, subject, sentence)


def warning(subject: str, sentence: str) -> Finding:
    return Finding(Level.WARNING, subject, sentence)


def wrong(subject: str, sentence: object) -> Finding:
    """`sentence` may be an error whose message is one, with or without its full stop."""
    return Finding(Level.WRONG, subject, f"{str(sentence).rstrip('.')}.")
