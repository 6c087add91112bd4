"""A chunk is scored and acknowledged once, whatever is delivered again, and each rule's request has a header."""

from typing import Any

import pytest

from agents.chunk import Chunk
from agents.fan_out import fan_out
from agents.scoring import scoring
from app import topics
from app.events import RequestAccepted, RuleBatch, ScoreRequested
from tables import folds, requests
from tests.unit.agents.delivered import Delivered, deliver, read

CHUNK = ScoreRequested(request_id="r", chunk=0, project_id="p", call_ids=["a"], scorer_refs=["s"], requested_at=1.0)


def of_rule(number: int, *call_ids: str, sampled_out: list[str]) -> ScoreRequested:
    rule = RuleBatch(rule_id="rule", set_at=0.0, sampled_out=sampled_out, open_until=9.0)
    return CHUNK.replace(request_id="hour", chunk=number, call_ids=list(call_ids), rule=rule)


@pytest.fixture
def added(bare_tables: None, monkeypatch: pytest.MonkeyPatch) -> list[Chunk]:
    """The chunks that are to be scored."""
    found: list[Chunk] = []
    monkeypatch.setattr(scoring.scheduler, "add", found.append)
    return found


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, RequestAccepted, int]]:
    """Key, event and partition of what the agent writes."""
    found: list[tuple[bytes, RequestAccepted, int]] = []

    def send(_topic: topics.Topic, key: bytes, value: bytes, partition: int) -> None:
        event = folds.SCORE_REQUESTS.decode(value)
        assert isinstance(event, RequestAccepted)
        found.append((key, event, partition))

    monkeypatch.setattr(topics.Topic, "send", send)
    return found


async def test_the_record_of_a_chunk_is_acknowledged_once_the_chunk_is_settled(added: list[Chunk]) -> None:
    delivered = Delivered(3, CHUNK)
    await read(fan_out, [delivered])
    [chunk] = added
    assert (chunk.partition, chunk.request_id, chunk.number) == (0, "r", 0)
    assert not delivered.acknowledged
    chunk.look(0)
    chunk.settle(0, 1)
    assert delivered.acknowledged


async def test_a_chunk_that_is_delivered_again_is_scored_again_and_one_whose_number_is_taken_is_not(
    added: list[Chunk], sent: list[Any]
) -> None:
    assert await deliver(fan_out, (3, CHUNK), (5, CHUNK.replace(call_ids=["b"])), (3, CHUNK)) == [False, True, False]
    assert len(added) == 2
    assert sent == []  # a client's request has a header of its own


async def test_a_record_that_brings_no_work_is_acknowledged_at_once(added: list[Chunk], sent: list[Any]) -> None:
    header = RequestAccepted(
        request_id="r", project_id="p", scorer_refs=["s"], calls=1, chunks=1, requested_by=None, requested_at=1.0
    )
    nothing = [CHUNK.replace(call_ids=[]), CHUNK.replace(chunk=1, scorer_refs=[]), header]
    assert await deliver(fan_out, *enumerate(nothing)) == [True, True, True]
    assert requests.load(0, "r") is not None
    assert (added, sent) == ([], [])


async def test_the_first_chunk_with_calls_of_a_rules_request_in_a_partition_brings_its_header_also_when_it_comes_again(
    added: list[Chunk], sent: list[tuple[bytes, RequestAccepted, int]]
) -> None:
    first, later = of_rule(1, "a", sampled_out=[]), of_rule(2, "b", sampled_out=["y"])
    await deliver(fan_out, (0, of_rule(0, sampled_out=["x"])))
    assert sent == []  # a request without calls is none
    await deliver(fan_out, (1, first), (2, later), (1, first), (2, later))
    assert len(sent) == 2
    assert sent[0] == sent[1]
    key, header, partition = sent[0]
    assert (key, partition) == (b"hour", topics.partition_of(b"hour"))
    assert (header.request_id, header.project_id, header.scorer_refs) == ("hour", "p", ["s"])
    assert (header.rule_id, header.open_until, header.requested_at) == ("rule", 9.0, 1.0)
    assert (header.calls, header.chunks) == (0, 0)  # others follow
    assert len(added) == 4
