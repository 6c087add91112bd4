"""A call is scored by the rules that were in force when it was logged, once, whatever is delivered when."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from agents import rules as module
from agents.rules import Rules
from app import cluster, ids, topics
from app.events import CallLogged, RequestCancelled, RuleBatch, RuleSet, ScoreRequested
from app.faust_app import app
from app.positions import positions
from app.rules import is_sampled
from tables import controls, folds, rules
from tables.at import At
from tests.unit.rule_sets import rule_set
from tests.unit.waiting import until

HOUR = 1_000_000 * 3600.0
END = {"output": "x", "op_name": "answer"}


class Log:
    """The topics, as one worker reads them: what it sends is applied a little later, unless that is held up."""

    def __init__(self) -> None:
        self.chunks: list[ScoreRequested] = []
        self.reached: dict[str, asyncio.Event] = {}
        self.applies = asyncio.Event()
        self.applies.set()
        self._offset = 0
        self.applying: list[asyncio.Future[None]] = []

    async def reach_ends(self, _partition: int, of: list[topics.Topic]) -> bool:
        [topic] = of
        await self.reached.setdefault(topic.name, asyncio.Event()).wait()
        return True

    def let_reach(self, topic: topics.Topic) -> None:
        self.reached.setdefault(topic.name, asyncio.Event()).set()

    async def send(self, _topic: object, key: bytes, value: bytes, partition: int) -> Any:
        event = folds.SCORE_REQUESTS.decode(value)
        assert isinstance(event, ScoreRequested)
        assert key == ids.chunk_key(event.request_id, event.chunk)
        self.chunks.append(event)
        offset = self.put(event, partition)
        return SimpleNamespace(offset=offset)

    def put(self, event: ScoreRequested, partition: int = 0) -> int:
        self._offset += 1
        self.applying.append(asyncio.ensure_future(self._apply(self.applying[-1:], event, partition, self._offset)))
        return self._offset

    async def _apply(
        self, before: list[asyncio.Future[None]], event: ScoreRequested, partition: int, offset: int
    ) -> None:
        await asyncio.gather(self.applies.wait(), *before)
        folds.SCORE_REQUESTS.apply(At(partition, offset, 1.0), event)
        positions.applied(topics.score_requests.name, partition, offset)


def a_chunk(
    *call_ids: str, number: int = 0, request_id: str = "other", sampled_out: list[str] | None = None
) -> ScoreRequested:
    """What another worker has written for the rule `all`."""
    return ScoreRequested(
        request_id=request_id,
        chunk=number,
        project_id="p",
        call_ids=list(call_ids),
        scorer_refs=["s"],
        requested_at=1.0,
        rule=RuleBatch(rule_id="all", set_at=0.0, sampled_out=sampled_out or [], open_until=9.0),
    )


async def rounds() -> None:
    """Let happen whatever may."""
    for _ in range(50):
        await asyncio.sleep(0)


class Worker:
    """The rules of one worker, and the calls that its log has."""

    def __init__(self) -> None:
        self.rules = Rules()
        self.acknowledged: list[str] = []
        self._offset = 0

    def set_rule(self, name: str = "all", at: float = 0.0, partition: int = 0, **fields: Any) -> RuleSet:
        self._offset += 1
        made = {"control_id": f"{name}-{at}", "rule_id": name, "name": name, "asked_at": at}
        event = rule_set(**made | fields)
        folds.CONTROLS.apply(At(partition, self._offset, 1.0), event)
        return event

    def log(
        self, *call_ids: str, at: float = HOUR, part: Any = "complete", project: str = "p", call: Any = None
    ) -> Callable[[], None]:
        """Calls come in; returns what delivers the last one again."""
        for call_id in call_ids:
            self._offset += 1
            event = CallLogged(project_id=project, call_id=call_id, part=part, call=call or END, logged_at=at)
            where = At(0, self._offset, at)
            self._deliver(where, event)
        return lambda: self._deliver(where, event)

    def _deliver(self, at: At, event: CallLogged) -> None:
        row = folds.CALLS.apply(at, event)
        self.rules.logged(at, event, row, lambda: self.acknowledged.append(event.call_id))


@pytest.fixture
async def log(bare_tables: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Log]:
    made = Log()
    monkeypatch.setattr(topics.Topic, "send", lambda *args: made.send(*args))
    monkeypatch.setattr(cluster, "reach_ends", made.reach_ends)
    monkeypatch.setattr(module, "_linger", lambda *_: 0.0)
    monkeypatch.setattr(positions, "_applied", {})  # whatever tests before have left there
    failed: list[str] = []
    monkeypatch.setattr(app, "on_failed_work", lambda _: failed.append(traceback.format_exc()))
    yield made
    made.applies.set()
    await asyncio.gather(*made.applying)
    positions.recovered(())
    assert failed == []


@pytest.fixture
async def starting(log: Log) -> AsyncIterator[Worker]:
    """One that was assigned the partition, and whose tables may lack what came last."""
    made = Worker()
    opening = asyncio.ensure_future(made.rules.open(0))
    yield made
    made.rules.clear()
    opening.cancel()


@pytest.fixture
async def worker(log: Log, starting: Worker) -> Worker:
    """One whose tables have all that the log held."""
    log.let_reach(topics.controls)
    log.let_reach(topics.score_requests)
    await rounds()
    return starting


async def test_a_call_is_acknowledged_once_all_rules_that_match_it_have_decided_and_not_before(
    log: Log, worker: Worker
) -> None:
    worker.set_rule("all")
    worker.set_rule("half", sample_rate=0.5)
    worker.set_rule("none", where={"op_name": "other"})
    worker.set_rule("paused", status="paused")
    worker.set_rule("later", at=HOUR + 1)
    sampled = next(call_id for call_id in map(str, range(99)) if is_sampled("half", call_id, 0.5))
    left_out = next(call_id for call_id in map(str, range(99)) if not is_sampled("half", call_id, 0.5))
    log.applies.clear()
    worker.log(sampled, left_out)
    await until(lambda: len(log.chunks) == 2)
    await rounds()
    assert worker.acknowledged == []
    log.applies.set()
    await until(lambda: len(worker.acknowledged) == 2)
    everything, half = sorted(log.chunks, key=lambda chunk: len(chunk.call_ids), reverse=True)
    for chunk, name, calls_, out in (
        (everything, "all", [sampled, left_out], []),
        (half, "half", [sampled], [left_out]),
    ):
        assert chunk.rule is not None
        assert (chunk.rule.rule_id, chunk.call_ids, chunk.rule.sampled_out) == (name, calls_, out)
        assert (chunk.project_id, chunk.scorer_refs, chunk.rule.set_at) == ("p", ["s"], 0.0)
        assert chunk.rule.open_until > HOUR + 3600
    assert everything.request_id != half.request_id
    assert [call_id for call_id in (sampled, left_out) if rules.decision(0, "later", call_id)] == []


async def test_a_call_that_is_decided_or_that_no_rule_means_is_acknowledged_at_once(log: Log, worker: Worker) -> None:
    worker.set_rule(where={"op_name": "answer"})
    again = worker.log("a")
    await until(lambda: worker.acknowledged == ["a"])
    again()
    worker.log("b", project="without")
    worker.log("c", call={"output": "x", "op_name": "other"})
    assert worker.acknowledged == ["a", "a", "b", "c"]
    assert len(log.chunks) == 1


async def test_a_call_whose_start_is_not_there_is_judged_once_it_is(log: Log, worker: Worker) -> None:
    worker.set_rule()
    end = worker.log("a", part="end")
    start = worker.log("b", part="start", call={"op_name": "answer"})
    assert worker.acknowledged == ["a", "b"]
    await rounds()
    assert log.chunks == []
    worker.log("a", part="start", call={"op_name": "answer"})
    worker.log("b", part="end")
    end()  # delivered again: neither is what made the call whole
    start()
    assert worker.acknowledged == ["a", "b", "a", "b"]
    await until(lambda: len(worker.acknowledged) == 6)
    assert [chunk.call_ids for chunk in log.chunks] == [["a", "b"]]


async def test_calls_wait_until_the_rules_are_known_and_those_that_a_rule_may_mean_until_its_decisions_are(
    log: Log, starting: Worker
) -> None:
    starting.log("a")
    starting.log("b", project="without")
    await rounds()
    assert starting.acknowledged == []
    starting.set_rule()
    log.let_reach(topics.controls)
    await until(lambda: starting.acknowledged == ["b"])
    starting.log("c")
    starting.log("d", project="without")
    await rounds()
    assert (starting.acknowledged, log.chunks) == (["b", "d"], [])
    log.put(a_chunk("a"))  # by the worker that had the partition before
    await rounds()
    log.let_reach(topics.score_requests)
    await until(lambda: sorted(starting.acknowledged) == ["a", "b", "c", "d"])
    assert [chunk.call_ids for chunk in log.chunks] == [["c"]]


async def test_when_partitions_move_nothing_more_is_decided_or_acknowledged_of_what_came_before(
    log: Log, starting: Worker
) -> None:
    starting.set_rule()
    starting.log("early")
    starting.log("without", project="without")
    starting.rules.clear()
    log.let_reach(topics.controls)
    log.let_reach(topics.score_requests)
    await rounds()
    assert (starting.acknowledged, log.chunks) == ([], [])
    await starting.rules.open(0)
    log.applies.clear()
    queued = starting.log("queued")
    await until(lambda: len(log.chunks) == 1)
    starting.rules.clear()
    log.applies.set()
    log.reached.clear()
    opening = asyncio.ensure_future(starting.rules.open(0))
    queued()
    starting.log("later")
    starting.log("new", project="new")
    await rounds()
    assert starting.acknowledged == []
    starting.set_rule("new", project_id="new")  # which its new owner may know only now
    log.let_reach(topics.controls)
    log.let_reach(topics.score_requests)
    await until(lambda: sorted(starting.acknowledged) == ["later", "new", "queued"])
    await opening
    assert sorted(chunk.call_ids for chunk in log.chunks) == [["later"], ["new"], ["queued"]]


async def test_many_calls_are_chunks_of_500_that_wait_for_no_more_of_one_revision_and_hour_each(
    log: Log, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = asyncio.Event()
    monkeypatch.setattr(module, "_linger", lambda *_: 60.0 if waits.is_set() else 0.0)
    worker.set_rule()
    worker.set_rule(at=HOUR + 3000, scorer_refs=["t"])
    waits.set()
    worker.log(*(f"a{n}" for n in range(1000)))
    await until(lambda: len(worker.acknowledged) == 1000)
    assert [len(chunk.call_ids) for chunk in log.chunks] == [500, 500]
    for call_id in ("b", "b-too"):
        worker.log(call_id, at=HOUR + 2999)
        await rounds()
    assert len(log.chunks) == 2  # more may come
    waits.clear()
    worker.log("c", at=HOUR + 3000)
    worker.log(*(f"d{n}" for n in range(499)), at=HOUR + 3600)
    await until(lambda: len(worker.acknowledged) == 1502)
    assert [(chunk.scorer_refs, len(chunk.call_ids)) for chunk in log.chunks[2:]] == [
        (["s"], 2),
        (["t"], 1),
        (["t"], 499),
    ]
    first, second, third, fourth, fifth = (chunk.request_id for chunk in log.chunks)
    assert first == second == third
    assert len({first, fourth, fifth}) == 3
    assert [chunk.chunk for chunk in log.chunks] == [0, topics.partitions(), 2 * topics.partitions(), 0, 0]


async def test_a_chunk_whose_number_another_worker_took_first_is_written_again_without_what_that_has_decided(
    log: Log, worker: Worker
) -> None:
    worker.set_rule()
    worker.log("first")
    await until(lambda: len(worker.acknowledged) == 1)
    [first] = log.chunks
    other = a_chunk("a", "x", number=topics.partitions(), request_id=first.request_id, sampled_out=["b"])
    log.applies.clear()
    log.put(other)  # by one that has not noticed yet that it lost the partition
    worker.log("a", "b", "c")
    await until(lambda: len(log.chunks) == 2)
    log.applies.set()
    await until(lambda: len(worker.acknowledged) == 4)
    _, refused, written = log.chunks
    assert (refused.chunk, refused.call_ids) == (other.chunk, ["a", "b", "c"])
    assert (written.chunk, written.call_ids) == (2 * topics.partitions(), ["c"])
    assert rules.load_counts(0, "all").matched == 5


def test_no_two_chunks_of_a_rules_request_have_the_same_number_whatever_their_partition(
    bare_tables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = []
    for known in range(3):
        has = rules.Request(chunks=known)
        monkeypatch.setattr(rules, "load_request", lambda *_, has=has: has)
        numbers += [module._next_number(partition, "hour") for partition in range(topics.partitions())]
    assert len(set(numbers)) == 3 * topics.partitions()
    assert min(numbers) == 0


async def test_calls_that_come_after_a_cancel_or_retry_of_the_request_are_of_another_one(
    log: Log, worker: Worker
) -> None:
    worker.set_rule()
    seen: list[str] = []
    for number, call_id in enumerate("abc"):
        worker.log(call_id)
        await until(lambda: len(worker.acknowledged) == len(seen) + 1)
        seen.append(log.chunks[-1].request_id)
        asked = RequestCancelled(control_id="c", request_id=seen[-1], asked_by=None, asked_at=1.0)
        controls.save(0, asked, 100 + number)
    assert len(set(seen)) == 3


def test_a_rule_waits_for_more_calls_the_longer_the_more_chunks_its_hour_has_and_never_until_the_worker_looks_stuck(
    bare_tables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    linger = module._linger
    monkeypatch.setattr(module, "get_settings", lambda: SimpleNamespace(stuck_after=600.0))
    match: Any = SimpleNamespace(revision=SimpleNamespace(control_id="c"), opened=HOUR)
    assert linger(0, match) == 1.0
    for number, wanted in ((10, 2.0), (100, 11.0), (1000, 30.0)):
        has = rules.Request(chunks=number)
        monkeypatch.setattr(rules, "load_request", lambda *_, has=has: has)
        assert linger(0, match) == pytest.approx(wanted)
    monkeypatch.setattr(module, "get_settings", lambda: SimpleNamespace(stuck_after=20.0))
    assert linger(0, match) == 5.0
