"""The lines of a file, which may be huge, compressed or a pipe."""

import gzip
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple, Self

from app.client.errors import CommandError

MAX_LINE_BYTES = 16 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line without its end; `data` is None if it is longer than MAX_LINE_BYTES.

    `offset` is where the next line starts in the uncompressed text, `position` how many bytes of the file are read.
    """

    number: int
    data: bytes | None
    offset: int
    position: int


@dataclass
class Source:
    """A file, gzipped or not, a pipe, or stdin for `-`, read in constant memory."""

    name: str
    size: int | None  # of a file that can be read again from any offset
    _raw: BufferedReader

    @classmethod
    def open(cls, path: str) -> Self:
        """Raises CommandError if the file cannot be opened."""
        try:
            # Not sys.stdin: a thread that waits in it would hold its lock when the process ends.
            raw = open(0, "rb", closefd=False) if path == "-" else Path(path).open("rb")  # noqa: SIM115
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
        status = os.fstat(raw.fileno())
        size = status.st_size if path != "-" and stat.S_ISREG(status.st_mode) else None
        return cls("stdin" if path == "-" else path, size, raw)

    def lines(self, offset: int = 0, number: int = 0) -> Iterator[Line]:
        """The lines from `offset` on, which follows line `number`; blank lines are left out.

        Raises:
            CommandError: the file cannot be read any further.
        """
        try:
            compressed = self._raw.peek(2)[:2] == _GZIP_MAGIC
            text = gzip.GzipFile(fileobj=self._raw) if compressed else self._raw
            if offset:
                text.seek(offset)
            while data := text.readline(MAX_LINE_BYTES + 1):
                number += 1
                offset += len(data)
                whole: bytes | None = data
                while not data.endswith(b"\n") and len(data) > MAX_LINE_BYTES:
                    whole = None
                    data = text.readline(MAX_LINE_BYTES + 1)
                    offset += len(data)
                if whole is not None:
                    whole = whole.removesuffix(b"\n").removesuffix(b"\r")
                    whole = whole.removeprefix(_BOM) if number == 1 else whole
                    if not whole.strip():
                        continue
                yield Line(number, whole, offset, offset if self.size is None else self._raw.tell())
        except (OSError, EOFError, zlib.error) as error:
            raise CommandError(f"{self.name} cannot be read beyond line {number:,}: {error}.") from None

    def close(self) -> None:
        self._raw.close()
