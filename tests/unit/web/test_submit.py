"""A request whose answer was 503 is not there: its header is in the log only behind all of its chunks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app import topics
from app.embedded.errors import LogFailed
from app.embedded.log import Log
from app.events import RequestClaimed
from app.faust_app import app
from app.slices import Turns
from app.web import submit
from app.web.errors import ApiError

CALLS = [str(number) for number in range(10_000)]
CLAIM = RequestClaimed(request_id="r1", body=None, scorer_refs=["ref"], requested_by=None, requested_at=1.0)


@pytest.fixture
async def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Log]:
    """What the app appends to."""
    log = Log(tmp_path / "log")
    log.create_topic(topics.score_requests.name, topics.partitions())
    await log.flush()
    producer = app.transport.create_producer()
    producer._embedded = log
    monkeypatch.setattr(app, "_producer", producer)
    yield log
    await log.close()


class Halting(Turns):
    """Between the `first` chunk and the `last` the log takes nothing; at the last it is opened again."""

    def __init__(self, log: Log, first: int, last: int) -> None:
        super().__init__()
        self._log, self._first, self._last = log, first, last
        self._chunks = 0

    async def breathe(self) -> None:
        if not self._chunks and not self._log.backlog:
            return  # the calls are being split
        self._chunks += 1
        if self._chunks == self._first:
            self._log.fail(LogFailed(self._log.path, OSError("the disk of this test")))
        if self._chunks == self._last:
            await self._log.reopen()


async def keys(log: Log) -> set[bytes | None]:
    """Those of all records that are in the log."""
    await log.flush()
    name = topics.score_requests.name
    return {record.key for partition in range(topics.partitions()) for record in log.read(name, partition, 0)}


@pytest.mark.parametrize(("first", "last"), [(3, 3), (3, 6)], ids=["within-a-turn", "for-some-chunks"])
async def test_a_request_is_not_there_if_the_log_took_only_some_of_its_chunks(log: Log, first: int, last: int) -> None:
    turns = Halting(log, first, last)
    with pytest.raises(ApiError) as refused:
        await submit._write("acme/p", CALLS, "", CLAIM, turns)
    assert refused.value.status == 503
    if log.failed is not None:
        await log.reopen()
    assert CLAIM.request_id.encode() not in await keys(log)


async def test_a_request_is_there_with_its_chunks_if_the_log_took_them(log: Log) -> None:
    header = await submit._write("acme/p", CALLS, "", CLAIM, Turns())
    found = await keys(log)
    assert CLAIM.request_id.encode() in found
    assert len(found) == header.chunks + 1 > 20
