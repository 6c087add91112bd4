import gzip
from pathlib import Path

import pytest

from app.client import lines
from app.client.errors import CommandError
from app.client.lines import Source


def read(path: Path, offset: int = 0, number: int = 0) -> list[tuple[int, bytes | None]]:
    return [(line.number, line.data) for line in Source.open(str(path)).lines(offset, number)]


def test_lines_keep_their_numbers_when_blank_ones_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"\xef\xbb\xbf{1}\r\n\n  \n{2}")
    assert read(path) == [(1, b"{1}"), (4, b"{2}")]


def test_gzip_is_recognised_whatever_the_name(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(gzip.compress(b"{1}\n{2}\n"))
    assert read(path) == [(1, b"{1}"), (2, b"{2}")]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reading_goes_on_at_an_offset(tmp_path: Path, pack: object) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(pack(b"{1}\n\n{2}\n{3}\n"))  # type: ignore[operator]
    first = next(iter(Source.open(str(path)).lines()))
    assert read(path, first.offset, first.number) == [(3, b"{2}"), (4, b"{3}")]


def test_a_line_without_end_is_skipped_in_flat_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100)
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"a" * 100 + b"\n" + b"b" * 1001 + b"\nc\n" + b"d" * 101)
    assert read(path) == [(1, b"a" * 100), (2, None), (3, b"c"), (4, None)]


def test_a_damaged_gzip_file_says_how_far_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl.gz"
    whole = gzip.compress(b"{1}\n" * 1000)
    for damaged in (whole[:-12], whole[:12] + b"\xff" * 4 + whole[16:]):
        path.write_bytes(damaged)
        with pytest.raises(CommandError, match=r"beyond line [\d,]+"):
            read(path)
