"""Events share records, and one that cannot be written takes no other with it."""

import asyncio
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.outbox import MAX_BYTES, Outbox
from app import topics
from app.events import Error, ScoreEvents, ScoreFailed, ScoreSucceeded, Target, TasksReused, decode_score_events
from app.scorers.outputs import MAX_DEPTH, encode_output
from app.slices import PATIENT
from tables import scores

TASK: dict[str, Any] = {"project_id": "p", "call_id": "c", "scorer_ref": "s", "targets": [Target("r", 0, 0, 0)]}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ScoreEvents]]:
    """What was appended: partition and record, read back."""
    records: list[tuple[int, ScoreEvents]] = []

    def send(self: topics.Topic, key: bytes | None, value: bytes, partition: int) -> "asyncio.Future[None]":
        records.append((partition, decode_score_events(value)))
        durable = asyncio.get_running_loop().create_future()
        durable.set_result(None)
        return durable

    monkeypatch.setattr(topics.Topic, "send", send)
    return records


async def test_events_of_one_turn_share_a_record_of_their_partition(sent: list[tuple[int, ScoreEvents]]) -> None:
    outbox = Outbox()
    for number in range(6):
        outbox.put(number % 2, ScoreSucceeded(**TASK, at=1.0, output=number).encode())
    await asyncio.sleep(0)
    assert [(partition, [event.output for event in record.events]) for partition, record in sent] == [  # type: ignore[union-attr]
        (0, [0, 2, 4]),
        (1, [1, 3, 5]),
    ]


async def test_records_stay_within_their_bounds(sent: list[tuple[int, ScoreEvents]]) -> None:
    outbox = Outbox()
    for _ in range(PATIENT.events + 1):
        outbox.put(0, ScoreSucceeded(**TASK, at=1.0, output=1).encode())
    for _ in range(4):
        outbox.put(1, ScoreSucceeded(**TASK, at=1.0, output="x" * (MAX_BYTES // 3)).encode())
    outbox.flush()
    assert [len(record.events) for partition, record in sent if partition == 0] == [PATIENT.events, 1]
    assert max(len(record.encode()) for _, record in sent) < MAX_BYTES + 10_000


async def test_nothing_is_sent_after_the_outbox_was_closed(sent: list[tuple[int, ScoreEvents]]) -> None:
    outbox = Outbox()
    outbox.put(0, ScoreSucceeded(**TASK, at=1.0, output=1).encode())
    outbox.close()
    for _ in range(PATIENT.events + 1):
        outbox.put(0, ScoreSucceeded(**TASK, at=1.0, output=2).encode())
    await asyncio.sleep(0)
    assert [event.output for _, record in sent for event in record.events] == [1]  # type: ignore[union-attr]


async def test_neighbours_that_are_reused_share_an_event(sent: list[tuple[int, ScoreEvents]]) -> None:
    outbox = Outbox()
    for call in range(5):
        outbox.put_reused(0, Target("r", 0, 0, call))
    outbox.put_reused(0, Target("r", 0, 1, 7))
    await asyncio.sleep(0)
    [(_, record)] = sent
    assert [event.calls for event in record.events if isinstance(event, TasksReused)] == [[0, 1, 2, 3, 4], [7]]


@given(st.text(alphabet=st.characters(codec=None), max_size=3000))
def test_whatever_a_scorer_raises_can_be_written_and_read(text: str) -> None:
    error = Error(type=text, message=text, traceback=text)
    record = ScoreEvents.join([ScoreFailed(**TASK, at=1.0, error=error).encode()])
    [event] = decode_score_events(record).events
    assert isinstance(event, ScoreFailed)
    assert len(event.error.message) <= 1010


def test_the_deepest_output_that_is_accepted_can_be_read_from_the_log_and_from_its_row() -> None:
    output: Any = []
    for _ in range(MAX_DEPTH - 1):
        output = [output]
    encode_output(output)
    event = ScoreSucceeded(**TASK, at=1.0, output=output)
    [read] = decode_score_events(ScoreEvents.join([event.encode()])).events
    assert isinstance(read, ScoreSucceeded)
    row = scores.fold(None, read, 0)
    assert scores.decode(orjson.dumps(row))["output"] == output


async def test_what_comes_soon_after_a_record_waits_a_moment_for_others(sent: list[tuple[int, ScoreEvents]]) -> None:
    outbox = Outbox()
    outbox.flush()
    for number in range(3):
        outbox.put(0, ScoreSucceeded(**TASK, at=1.0, output=number).encode())
        await asyncio.sleep(0)
        assert sent == []
    while not sent:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert [len(record.events) for _, record in sent] == [3]


async def test_what_must_be_durable_is_not_kept_waiting_and_takes_along_what_waits(
    sent: list[tuple[int, ScoreEvents]],
) -> None:
    outbox = Outbox()
    outbox.flush()
    outbox.put(0, ScoreSucceeded(**TASK, at=1.0, output=1).encode())
    durable: list[bool] = []
    outbox.put_durably(0, ScoreSucceeded(**TASK, at=1.0, output=2).encode(), durable.append)
    await asyncio.sleep(0)  # the turn ends
    assert [len(record.events) for _, record in sent] == [2]
    while not durable:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert durable == [True]
