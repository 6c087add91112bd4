"""What the metrics of dead letters show."""

import math
from typing import get_args

import pytest
from prometheus_client import REGISTRY

import agents.dead_letters
from app import cluster, topics
from app.events import BuryReason, DeadLetter, LetterDismissed, LetterRedriven
from app.positions import positions
from tables import dead_letters


@pytest.mark.parametrize("topic", topics.NAMES)
@pytest.mark.parametrize("reason", get_args(BuryReason))
def test_the_first_letter_of_a_topic_and_reason_is_an_increase(topic: str, reason: str) -> None:
    labels = {"topic": topic, "reason": reason}
    assert REGISTRY.get_sample_value("callscore_dead_letters_total", labels) is not None


def test_open_letters_are_those_neither_redriven_nor_dismissed_slice_by_slice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    letter = DeadLetter(
        topic="calls", partition=0, offset=0, key=b"k", value=b"v", reason="undecodable", detail="", at=1.0
    )
    redriven, dismissed = (
        order(letter_id=dead_letters.id_of(letter), asked_by=None, asked_at=2.0)
        for order in (LetterRedriven, LetterDismissed)
    )
    row = dead_letters.fold(None, letter, 1)
    rows = [
        row,
        row,
        dead_letters.fold(row, redriven, 2),
        dead_letters.fold(row, dismissed, 2),
        row,
    ]
    encoded = [(str(number).encode(), found.encode()) for number, found in enumerate(rows) if found is not None]

    def scan(partition: int, *, after: bytes | None) -> list[tuple[bytes, bytes]]:
        return [(key, value) for key, value in encoded if after is None or key > after]

    monkeypatch.setattr(dead_letters.table, "scan", scan)
    for at_once in (1, 2, 10):
        monkeypatch.setattr(dead_letters, "_COUNTED", at_once)
        count, slices, after = 0, 0, None
        while slices == 0 or after is not None:
            found, after = dead_letters.count_open(0, after)
            count, slices = count + found, slices + 1
        assert count == 3
        assert slices >= len(rows) // at_once


async def test_open_letters_are_counted_again_only_where_something_was_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    async def ask_here(query: object, partition: int, after: str | None) -> tuple[int, str | None]:
        asked.append(partition)
        return (2, "more") if after is None else (1, None)

    monkeypatch.setattr(cluster, "check_ready", lambda: None)
    monkeypatch.setattr(cluster, "partitions_here", lambda: {0, 1})
    monkeypatch.setattr(cluster, "ask_here", ask_here)
    monkeypatch.setattr(positions, "_applied", {})
    counted = await agents.dead_letters._count({})
    assert counted == {0: (-1, 3), 1: (-1, 3)}
    asked.clear()
    positions.applied(topics.dead_letters.name, 1, 7)
    assert await agents.dead_letters._count(counted) == {0: (-1, 3), 1: (7, 3)}
    assert asked == [1, 1]


def test_the_number_of_open_letters_is_unknown_until_they_are_counted() -> None:
    assert math.isnan(REGISTRY.get_sample_value("callscore_dead_letters_open") or 0.0)
