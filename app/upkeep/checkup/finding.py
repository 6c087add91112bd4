"""What a check of a place found: one line for people."""

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # a service starts, and may work worse than it could
    WRONG = "wrong"  # it does not start, or something of it does not work


class Finding(NamedTuple):
    """`about` what, in a word or two, and a sentence; one that is not ok says what to do as well."""

    level: Level
    about: str
    sentence: str


def ok(about: str, sentence: str) -> Finding:
    return Finding(Level.OK, about, sentence)


def warning(about: str, sentence: str) -> Finding:
    return Finding(Level.WARNING, about, sentence)


def wrong(about: str, sentence: object) -> Finding:
    """`sentence` may be an error whose message is one, with or without its full stop."""
    return Finding(Level.WRONG, about, f"{str(sentence).rstrip('.')}.")
