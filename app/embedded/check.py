"""Verifying a log: every record and every index entry."""

from collections.abc import Iterator
from pathlib import Path

from . import keys
from .errors import EmbeddedLogError, LogBlockCorrupt, LogUnavailable, LogUnreadable
from .policy import Policy
from .record import decode, encode
from .topic import Partition, Topic
from .view import View

_KINDS = (keys.VERSION, keys.ID, keys.TOPIC, keys.BOUNDS, keys.RECORD, keys.COMMITTED, keys.CLEANING)


def check(path: Path) -> Iterator[str]:
    """Read the whole log, which no other process may have open, and yield a line for each problem.

    RocksDB verifies the checksum of every block that it reads, and all of them are read.

    Raises:
        NoLog, LogLocked, LogFormatMismatch: the log cannot be checked.
    """
    try:
        view = View(path, alone=True)
    except (LogUnavailable, LogBlockCorrupt, LogUnreadable) as error:
        yield str(error)
        return
    except (KeyError, ValueError) as error:
        yield f"the topics or committed offsets cannot be decoded ({error!r})"
        return
    with view:
        for topic in view.topics.values():
            for partition in topic.partitions:
                yield from _check_partition(view, topic, partition)
        yield from _check_committed(view)
        yield from _check_strangers(view)


def _check_partition(view: View, topic: Topic, partition: Partition) -> Iterator[str]:
    where = f"{partition.topic}/{partition.number}"
    compacted = Policy.of(topic.config).compact  # only compaction leaves gaps
    expected = partition.start
    try:
        stored = view.get(keys.bounds_key(topic.id, partition.number))
        if stored is None:
            yield f"{where}: its start and end are missing"
        for key, raw in view.scan(partition.prefix):
            offset = keys.parse_offset(key)
            if offset < partition.start:
                yield f"{where}@{offset}: lies before the start {partition.start}"
            elif offset > expected and not compacted:
                yield f"{where}@{expected}: {_records(offset - expected)} missing"
            if not _decodable(partition, offset, raw):
                yield f"{where}@{offset}: the record cannot be decoded"
            expected = max(expected, offset + 1)
    except EmbeddedLogError as error:
        yield f"{where}@{expected}: cannot be read from here on: {error}"
        return
    if stored is not None and (end := keys.parse_bounds(stored)[1]) > expected:
        yield f"{where}@{expected}: {_records(end - expected)} missing before the end {end}"


def _records(number: int) -> str:
    return "1 record is" if number == 1 else f"{number} records are"


def _decodable(partition: Partition, offset: int, raw: bytes) -> bool:
    """Whether the record can be decoded, and is encoded to the same bytes again."""
    try:
        record = decode(partition.topic, partition.number, offset, raw)
        return encode(record.timestamp, record.key, record.value, record.headers) == raw
    except Exception:  # struct.error, UnicodeDecodeError and others, by what the bytes are
        return False


def _check_committed(view: View) -> Iterator[str]:
    for (group, topic, number), offset in sorted(view.committed.items()):
        if number >= len(view.topics[topic].partitions):
            yield f"{topic}/{number}: {group} has committed an offset in a partition that does not exist"
            continue
        end = view.topics[topic].partitions[number].end
        if not 0 <= offset <= end:
            yield f"{topic}/{number}: {group} has committed {offset}, and the end is {end}"


def _check_strangers(view: View) -> Iterator[str]:
    known = {partition.prefix for topic in view.topics.values() for partition in topic.partitions}
    try:
        strangers = sum(key[:1] not in _KINDS or key[:1] == keys.RECORD for key in view.outside(known))
    except EmbeddedLogError as error:
        yield str(error)
        return
    if strangers:
        yield f"{strangers} entries belong to no topic"
