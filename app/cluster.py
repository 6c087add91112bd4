"""Which worker owns a key, and queries to the owner, to every partition, or to every worker.

A query is a function, or a coroutine function, of (partition, *arguments) that reads the tables of that partition.
It runs on the worker that owns the partition; arguments and result are plain JSON values. Views read tables in no
other way, but for the export of a table's raw rows (app/web/rows.py).

During an upgrade workers of two versions ask each other. So a query's module, name, parameters and answer stay as they
are; what must change is a new query, to which older workers give no answer (`UnknownQuery`).
"""

import asyncio
import importlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, Concatenate, ParamSpec, TypeVar

from aiokafka.errors import KafkaError
from faust.exceptions import NotReady
from faust.types import TP

from app import peers, topics
from app.faust_app import app
from app.positions import positions
from app.slices import Turns

P = ParamSpec("P")
# Bound, so that what a coroutine function returns is taken for its result and not for the coroutine.
R = TypeVar("R", bound=Mapping[str, object] | Sequence[object] | int | float | None)
T = TypeVar("T")
Query = Callable[Concatenate[int, P], R | Awaitable[R]]

_STOPS = "this worker is stopping"
_MOVED = "the partition has moved to another worker"

# Partitions of this worker whose tables do not hold yet all that the log held when they were assigned.
_behind: set[int] = set()

# Queries that wait here, to be ended when the worker stops, since nothing is applied from then on.
_waiting: set[asyncio.Timeout] = set()
_stopping = False

# Partitions whose worker did not answer during the current HTTP request.
unanswered: ContextVar[set[int] | None] = ContextVar("unanswered", default=None)


class UnknownQuery(LookupError):
    """Another worker asks a query that this one does not have; it may be of another version."""


class Unavailable(Exception):
    """The tables cannot be asked right now; the message says why. Ask again after `retry_after` seconds."""

    def __init__(self, reason: str, retry_after: int = 1) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def check_ready() -> None:
    """Return if the tables of this worker can answer.

    Raises:
        Unavailable: while they are being recovered, the log has failed, or others may have this worker's partitions; or
            this worker stops.
    """
    if _stopping:
        raise Unavailable(_STOPS)
    if app.waiting_for is not None:
        raise Unavailable(app.waiting_for)
    if failure := app.producer.failed:
        raise Unavailable(f"nothing can be written: {failure}")
    if app.rebalancing or not app.tables.actives_ready:
        raise Unavailable(f"the tables are being recovered{app.tables.recovery_progress()}")
    if app.consumer.in_doubt:
        raise Unavailable("Kafka does not confirm that this worker still has its partitions")
    if _behind:
        raise Unavailable(f"what came last is being applied again in {len(_behind)} of this worker's partitions")


def stop() -> None:
    """Answer no queries from now on, also none that wait already."""
    global _stopping
    _stopping = True
    for waiting in _waiting:
        waiting.reschedule(0)


async def owner(query: Query[P, R], key: bytes, *args: P.args, **kwargs: P.kwargs) -> R:
    """`query` on the partition that owns a partitioning key, wherever that is.

    Raises:
        Unavailable: if the owner cannot answer now.
    """
    check_ready()
    partition = topics.partition_of(key)
    try:
        [answer] = await _answers(owners().get(partition), query, [partition], *args, **kwargs)
    except peers.NoAnswer as error:
        raise Unavailable(str(error)) from None
    return answer


async def everywhere(query: Query[P, R], *args: P.args, **kwargs: P.kwargs) -> dict[int, R]:
    """`query` on every partition: partition → answer, in order.

    Partitions of a worker that does not answer in time are left out, and noted in `unanswered`.

    Raises:
        Unavailable: while partitions are moving or being recovered, here or elsewhere.
    """
    check_ready()
    url_of = owners()
    by_url: defaultdict[str | None, list[int]] = defaultdict(list)
    for partition in range(topics.partitions()):
        by_url[url_of.get(partition)].append(partition)
    asked = [_ask_worker(url, query, partitions, *args, **kwargs) for url, partitions in by_url.items()]
    found: dict[int, R] = {}
    for answers in await asyncio.gather(*asked):
        found.update(answers)
    return dict(sorted(found.items()))


@contextmanager
def noting() -> Iterator[set[int]]:
    """Collect the partitions that do not answer meanwhile, instead of in `unanswered` of the HTTP request."""
    noted: set[int] = set()
    token = unanswered.set(noted)
    try:
        yield noted
    finally:
        unanswered.reset(token)


def whole(found: dict[int, R]) -> dict[int, R]:
    """What `everywhere` found, if every partition has answered. Raises Unavailable."""
    if len(found) < topics.partitions():
        raise Unavailable("a worker does not answer, or is behind")
    return found


async def every_worker(query: Query[P, R], *args: P.args, **kwargs: P.kwargs) -> dict[str, R]:
    """`query` on every worker, asked through one of its partitions: url → answer, without those that do not answer.

    Raises:
        Unavailable: as `everywhere`.
    """
    check_ready()
    through: dict[str, int] = {}
    for partition, url in owners().items():
        through.setdefault(url, partition)
    asked = [_ask_worker(url, query, [partition], *args, **kwargs) for url, partition in through.items()]
    found = await asyncio.gather(*asked)
    return {url: next(iter(answers.values())) for url, answers in zip(through, found, strict=True) if answers}


async def _ask_worker(
    url: str | None, query: Query[P, R], partitions: list[int], *args: P.args, **kwargs: P.kwargs
) -> dict[int, R]:
    """`query` on partitions of the worker at `url`: partition → answer; none if it does not answer, which is noted."""
    try:
        return dict(zip(partitions, await _answers(url, query, partitions, *args, **kwargs), strict=True))
    except peers.NoAnswer:
        noted = unanswered.get()
        if noted is not None:
            noted.update(partitions)
        return {}


async def _answers(
    url: str | None, query: Query[P, R], partitions: list[int], *args: P.args, **kwargs: P.kwargs
) -> list[R]:
    """The answers of the worker at `url`, or of none yet. Raises Unavailable, peers.NoAnswer."""
    if url is None:
        raise Unavailable("the workers are being assigned their partitions")
    if url == here():
        return await _ask_all_here(query, partitions, *args, **kwargs)
    try:
        return await peers.ask(url, name_of(query), partitions, args, kwargs)
    except peers.NotNow as error:
        raise Unavailable(str(error)) from None


async def _ask_all_here(query: Query[P, R], partitions: list[int], *args: P.args, **kwargs: P.kwargs) -> list[R]:
    """`query` on partitions of this worker, in order, giving way to others in between. Raises as `ask_here`."""
    answers, turns = [], Turns()
    for partition in partitions:
        answers.append(await ask_here(query, partition, *args, **kwargs))
        await turns.breathe()
    return answers


async def ask_here(query: Query[P, R], partition: int, *args: P.args, **kwargs: P.kwargs) -> R:
    """`query` on a partition of this worker.

    Raises:
        Unavailable: the partition is not here, or not recovered; or this worker stops.
    """
    check_ready()
    if not _is_here(partition):
        raise Unavailable(_MOVED)
    answer = query(partition, *args, **kwargs)
    if not isinstance(answer, Awaitable):
        return answer
    awaited = await _unless_stopped(answer)
    if not _is_here(partition):
        raise Unavailable(_MOVED)
    return awaited


async def _unless_stopped(answer: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(None) as waiting:
            _waiting.add(waiting)
            return await answer
    except TimeoutError:
        if waiting.expired():
            raise Unavailable(_STOPS) from None
        raise
    finally:
        _waiting.discard(waiting)


async def answer_peer(name: str, partitions: list[int], args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
    """The answers to what another worker asked with `peers.ask`.

    Raises:
        Unavailable: see `ask_here`.
        UnknownQuery: there is no such query here.
    """
    return await _ask_all_here(_query_named(name), partitions, *args, **kwargs)


def _query_named(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    # `_wait_for_end` and `_wait_past` are asked by the name of this module.
    if module != __name__ and not module.startswith("tables."):
        raise UnknownQuery(name)
    try:
        query: Callable[..., Any] = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError):
        raise UnknownQuery(name) from None
    return query


def name_of(query: Callable[..., Any]) -> str:
    """How a query is named to another worker: module and function."""
    return f"{query.__module__}:{query.__qualname__}"


def here() -> str:
    """The url of this worker."""
    return str(app.conf.canonical_url)


def owners() -> dict[int, str]:
    """Partition → url of the worker that owns it, as of the last assignment."""
    topic = next(iter(app.tables.changelog_topics))
    return {
        partition: url
        for url, found in app.assignor.changelog_distribution.items()
        for partition in found.get(topic, ())
    }


def partitions_here() -> set[int]:
    """The partitions that this worker owns."""
    return {tp.partition for tp in app.consumer.assignment() if tp.topic == topics.score_events.name}


def _is_here(partition: int) -> bool:
    """Whether it is in `partitions_here` now, without looking at all of them: each answer asks."""
    return bool(app.consumer.is_assigned(TP(topics.score_events.name, partition)))


async def caught_up(topic: topics.Topic, key: bytes) -> None:
    """Wait until the tables have everything that the owner's partition of `topic` holds now, so that it can be read."""
    await owner(_wait_for_end, key, topic.name)


async def all_caught_up(topic: topics.Topic) -> dict[int, bool]:
    """Wait until the tables have everything that `topic` holds now; returns the partitions that confirm it in time.

    Others are not noted in `unanswered`, since they may lack only the newest records.
    """
    with noting():
        return await everywhere(_wait_for_end, topic.name)


async def all_caught_up_past(topic: topics.Topic, moment: float) -> dict[int, bool]:
    """As `all_caught_up`, but first wait until new records of `topic` get a time after `moment` (Unix seconds)."""
    with noting():
        return await everywhere(_wait_past, topic.name, moment)


async def _wait_past(partition: int, topic: str, moment: float) -> bool:
    """Query: wait until this worker has applied all records of the partition with a time up to `moment`.

    It is the owner, so it appends to the partition, by its own clock. A record gets its time before it is in the log.
    """
    while time.time_ns() // 1_000_000 / 1000 <= moment:  # noqa: ASYNC110 - the time of a record appended now
        await asyncio.sleep(moment + 0.001 - time.time())
    with suppress(KafkaError, NotReady):  # then `check_ready` raises
        await app.producer.flush()
    check_ready()
    return await _wait_for_end(partition, topic)


async def _wait_for_end(partition: int, topic: str) -> bool:
    """Query: wait until this worker has applied all that the partition of `topic` holds now."""
    await positions.reached(topic, partition, await end_offset(topic, partition) - 1)
    return True


def recovered() -> None:
    """The tables of an assignment are recovered: no partition is queried before `catch_up` is done with it."""
    _behind.clear()
    _behind.update(partitions_here())


async def catch_up(partition: int) -> bool:
    """Wait until this worker has applied all that the log holds in a partition now; then it may be queried.

    A kill can fall between the changelog records of one event; until that is redelivered, a request may look completed
    and lack a score. Returns False if partitions were assigned again meanwhile.
    """
    if not await reach_ends(partition, topics.ALL):
        return False
    _behind.discard(partition)
    return True


async def reach_ends(partition: int, of: Iterable[topics.Topic]) -> bool:
    """Wait until this worker has applied all that these topics hold in a partition now.

    Returns False if partitions were assigned again meanwhile.
    """
    assignment = app.rebalancing_count
    ends = {topic.name: await _end_once_available(topic.name, partition) for topic in of}
    for topic, end in ends.items():
        await positions.reached(topic, partition, end - 1)
        if assignment != app.rebalancing_count:
            return False
    return True


async def _end_once_available(topic: str, partition: int) -> int:
    while True:
        try:
            return await end_offset(topic, partition)
        except Unavailable as error:
            await asyncio.sleep(error.retry_after)


async def end_offset(topic: str, partition: int) -> int:
    """The offset that the partition's next record will get.

    Raises:
        Unavailable: Kafka does not answer.
    """
    tp = TP(topic, partition)
    try:
        return int((await app.consumer.highwaters(tp))[tp])
    except KafkaError as error:
        raise Unavailable(f"Kafka does not answer: {error!r}") from None
