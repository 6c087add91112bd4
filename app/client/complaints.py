"""What is said of lines that cannot become calls."""

from collections.abc import Collection, Iterable
from typing import IO

import orjson

from app.client.fields import Fields, Seen
from app.client.output import note
from app.client.text import clean, number

MAX_COMPLAINTS = 10


class Complaints:
    """Notes about the lines that cannot become calls: the first few, and how many more there are.

    All of them go to `file`, if there is one, as JSON lines with `line` and `reason`.
    """

    def __init__(self, fields: Fields, seen: Seen, file: IO[bytes] | None) -> None:
        self._fields = fields
        self._seen = seen
        self._file = file
        self._pending: list[tuple[str, bool]] = []  # the complaint, and whether it is about a missing output
        self._lines = 0
        self._noted = 0
        self._without_output = 0

    def add(self, bad: Iterable[tuple[int, str]], without_output: Collection[int]) -> None:
        """Add bad lines, and which of them lack the output; they are not printed yet."""
        for line, reason in bad:
            self._lines += 1
            if self._lines <= MAX_COMPLAINTS:
                self._pending.append((f"line {line}: {clean(reason)}", line in without_output))
            if self._file is not None:
                self._file.write(orjson.dumps({"line": line, "reason": reason}) + b"\n")
        if self._file is not None:
            self._file.flush()  # before a checkpoint passes these lines
        self._without_output += len(without_output)

    def print(self) -> None:
        """Print what has not been printed yet."""
        for complaint, _ in self._pending:
            note(complaint)
        self._noted += len(self._pending)
        self._pending.clear()

    def end(self, none_sent: bool) -> None:
        """Print the rest; if no line has the output field, print that once, and what to do."""
        lines, nowhere = self._lines, none_sent and self._without_output > 0 and not self._seen.has_output
        if nowhere:
            lines -= self._without_output
            self._pending = [(complaint, lacks) for complaint, lacks in self._pending if not lacks]
        self.print()
        if lines > self._noted:
            hint = "; write all to a file with --rejected" if self._file is None else ""
            note(f"and {number(lines - self._noted)} more{hint}")
        if nowhere:
            names = clean(", ".join(self._seen.first), 500) or "none"
            output = repr(self._fields.output)
            note(f"No line has the field {output}. Name the output field with --output. The first line has: {names}.")
        elif self._without_output and self._fields.exception is None:
            note("If calls without output failed, name the field of their error with --exception to import them too.")
