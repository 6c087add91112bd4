"""An export keeps every byte, and one that is not whole is refused, wherever it is cut or changed."""

import io

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.client.errors import CommandError
from app.embedded.record import Record
from app.upkeep.export_file import Header, Reader, Writer

raw = st.none() | st.binary(max_size=20) | st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace"))
headers = st.lists(st.tuples(st.text(max_size=5).filter(lambda name: name.isascii()), raw), max_size=3)
contents = st.lists(st.tuples(st.integers(0, 2**40), raw, raw, headers), max_size=12)


def written(records: list[Record], ends: dict[str, list[int]]) -> bytes:
    file = io.BytesIO()
    writer = Writer(file, Header(partitions=2, ends=ends))
    for record in records:
        writer.record(record)
    writer.finish()
    return file.getvalue()


def read(export: bytes) -> list[Record]:
    return list(Reader(io.BytesIO(export), "log.jsonl").records())


def an_export() -> list[bytes]:
    """The lines of one."""
    records = [
        Record("calls", n % 2, n // 2, 1_764_064_800_000 + n, b"a\0%d" % n, b'{"n": %d}' % n, []) for n in range(8)
    ]
    records.sort(key=lambda record: (record.partition, record.offset))
    return written(records, {"calls": [4, 4], "scorers": [0, 0]}).splitlines(keepends=True)


@given(contents)
def test_every_byte_is_kept(
    found: list[tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]],
) -> None:
    records = [Record("calls", 1, offset, *content) for offset, content in enumerate(found)]
    assert read(written(records, {"calls": [0, len(records)]})) == records


def test_it_is_refused_wherever_it_is_cut() -> None:
    whole = b"".join(an_export())
    assert len(read(whole)) == 8
    for end in range(len(whole)):
        with pytest.raises(CommandError, match=r"ends before it is complete|is not an exported log"):
            read(whole[:end])


def test_it_is_refused_wherever_a_letter_is_another() -> None:
    whole = b"".join(an_export())
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1
        with pytest.raises(CommandError):
            read(bytes(changed))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda lines: [], "is not an exported log. Make one with: callscore log export"),
        (lambda lines: [b'{"format": "something", "version": 1}\n'], "is not an exported log"),
        (lambda lines: [lines[0].replace(b'"version":1', b'"version":2')], "has format 2"),
        (lambda lines: [lines[0].replace(b'"partitions":2', b'"partitions":"x"')], "its header cannot be read"),
        (lambda lines: [*lines[:3], *lines[4:]], "does not agree with its 7 records"),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "record 4 is out of order"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "record 3 is out of order"),
        (lambda lines: [*lines[:3], b"{}\n", *lines[3:]], "record 3 cannot be read"),
        (lambda lines: [*lines[:3], lines[3].replace(b"calls", b"other"), *lines[4:]], "record 3 cannot be read"),
        (lambda lines: [*lines, b"{}\n"], "does not agree"),
    ],
)
def test_it_is_refused_with_a_sentence_that_says_what_is_wrong(change: object, why: str) -> None:
    assert callable(change)
    with pytest.raises(CommandError, match=why):
        read(b"".join(change(an_export())))


def test_lines_are_what_the_module_says() -> None:
    header, first, *_, trailer = (orjson.loads(line) for line in an_export())
    assert header == {
        "format": "callscore-log",
        "version": 1,
        "partitions": 2,
        "ends": {"calls": [4, 4], "scorers": [0, 0]},
    }
    assert first == {
        "topic": "calls",
        "partition": 0,
        "offset": 0,
        "timestamp": 1764064800000,
        "key": "a\0000",
        "value": '{"n": 0}',
    }
    assert trailer["records"] == {"calls": 8, "scorers": 0}
