"""Importing the lines of a file as calls."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, TypeVar
from urllib.parse import quote

import orjson

from app.client.checkpoint import Checkpoint, Progress
from app.client.errors import Refused, Unreachable
from app.client.feed import feed
from app.client.fields import BadLine, Fields, NoOutput, Seen
from app.client.formats import checked
from app.client.http import Client
from app.client.lines import MAX_LINE_BYTES, Line, Source
from app.client.output import note
from app.client.progress import Bar, bar
from app.client.text import clean, number

MAX_BATCH_CALLS = 200
MAX_BATCH_BYTES = 4 << 20
MAX_COMPLAINTS = 10
_IN_FLIGHT = 4
_ABOUT_AN_ITEM = (400, 413, 422)
_NOWHERE = Line(0, None, 0, 0)

T = TypeVar("T")


async def rewrites(client: Client, project: str, since: str) -> bool:
    """Whether calls were sent since then that exist with different content, which the service keeps.

    Also False if this API key may not list dead letters.
    """
    with suppress(Refused, Unreachable):  # the import itself has succeeded
        async for _ in client.items("/calls", {"project_id": project}, 1):
            pass  # answered only when all logged calls are in the tables
        params = {"project_id": project, "reason": "call_rewritten", "since": since}
        return [letter async for letter in client.items("/dead-letters", params, 1)] != []
    return False


async def continued(client: Client, project: str, checkpoint: Checkpoint) -> Progress:
    """Where to continue an interrupted import: where it stopped, or at the start if the service lacks what was sent.

    The data of the service may have been deleted since, or restored from a backup.
    """
    progress = checkpoint.load()
    if progress.last_call is not None and not await _has(client, project, progress.last_call):
        note("The service does not have the calls that the interrupted import sent, so the import starts over.")
        return Progress()
    if progress.line:
        note(f"Continuing after line {number(progress.line)}. Use --restart to start over.")
    return progress


async def _has(client: Client, project: str, call_id: str) -> bool:
    params = {"project_id": project, "call_id": call_id, "ids_only": "true"}
    return [call async for call in client.items("/calls", params, 1)] != []


def path_of(project: str) -> str:
    """Where complete calls of a project are posted to."""
    entity, _, name = project.partition("/")
    return f"/v2/{quote(entity, safe='')}/{quote(name, safe='')}/calls/complete"


async def send(
    post: Callable[[str, bytes], Awaitable[object]], path: str, items: list[tuple[T, bytes]]
) -> list[tuple[T, str]]:
    """Post the items as a batch and return the names of those that are refused, and why.

    They are found by bisection, so sending an item again must be safe.
    """
    if not items:
        return []
    try:
        await post(path, b'{"batch":[' + b",".join(item for _, item in items) + b"]}")
    except Refused as error:
        if error.status not in _ABOUT_AN_ITEM:
            raise
        if len(items) == 1:
            return [(items[0][0], error.reason)]
        half = len(items) // 2
        return await send(post, path, items[:half]) + await send(post, path, items[half:])
    return []


@dataclass
class Batch:
    """Consecutive lines: the calls to send, and the lines that cannot become calls, with their line numbers."""

    calls: list[tuple[int, bytes]] = field(default_factory=list)
    bad: list[tuple[int, str]] = field(default_factory=list)
    without_output: set[int] = field(default_factory=set)
    """Those of the bad lines that lack the output."""
    size: int = 0
    last: Line = _NOWHERE


def batches(lines: Iterator[Line], fields: Fields, seen: Seen) -> Iterator[Batch]:
    """Group lines into batches of at most MAX_BATCH_CALLS lines and MAX_BATCH_BYTES of calls."""
    batch = Batch()
    for line in lines:
        try:
            if line.data is None:
                raise BadLine(f"too large: the line has more than {MAX_LINE_BYTES:,} bytes")
            call = fields.call(line.data, seen)
        except BadLine as error:
            batch.bad.append((line.number, str(error)))
            if isinstance(error, NoOutput):
                batch.without_output.add(line.number)
        else:
            if batch.size + len(call) + 1 > MAX_BATCH_BYTES:
                yield batch
                batch = Batch()
            batch.calls.append((line.number, call))
            batch.size += len(call) + 1
        batch.last = line
        if len(batch.calls) + len(batch.bad) >= MAX_BATCH_CALLS:
            yield batch
            batch = Batch()
    if batch.last.number:
        yield batch


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


class Import:
    """Importing one source from where `progress` says, which then includes earlier, interrupted runs."""

    def __init__(
        self,
        client: Client,
        source: Source,
        fields: Fields,
        checkpoint: Checkpoint | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.progress = progress or Progress()
        self.seen = Seen(fields)
        self._client = client
        self._source = source
        self._fields = fields
        self._checkpoint = checkpoint
        self._path = path_of(fields.project)

    async def run(self, limit: int | None = None, rejected: IO[bytes] | None = None) -> Progress:
        """Send everything that is left, at most the first `limit` lines of the source that are not blank.

        Lines that cannot become calls are counted, the first few are noted, and all are written to `rejected`.

        Raises:
            CommandError: the service or the source fails; the progress is stored for the next run.
        """
        complaints = Complaints(self._fields, self.seen, rejected)
        before = self.progress.imported + self.progress.rejected
        lines = self._source.lines(self.progress.offset, self.progress.line)
        if not self.progress.line:
            lines = checked(lines, self._source.name)
        if limit is not None:
            lines = islice(lines, max(0, limit - before))
        started = time.monotonic()
        window: deque[tuple[Batch, asyncio.Task[list[tuple[int, str]]]]] = deque()
        try:
            with bar("Importing") as shown:
                async for batch in feed(batches(lines, self._fields, self.seen)):
                    window.append((batch, asyncio.create_task(self._send(batch.calls))))
                    if len(window) >= _IN_FLIGHT:
                        await self._settle(window, complaints, shown, started, before)
                while window:
                    await self._settle(window, complaints, shown, started, before)
        except BaseException:
            if self._checkpoint and self.progress.line:
                self._checkpoint.save(self.progress, now=True)
                line = number(self.progress.line)
                note(f"Interrupted after line {line}. The same command, without --restart, continues there.")
            raise
        finally:
            for _, task in window:
                task.cancel()
            await asyncio.gather(*(task for _, task in window), return_exceptions=True)
            complaints.end(self.progress.imported == 0)
        if self._checkpoint:
            self._checkpoint.remove()
        return self.progress

    async def _settle(
        self,
        window: deque[tuple[Batch, asyncio.Task[list[tuple[int, str]]]]],
        complaints: Complaints,
        shown: Bar,
        started: float,
        before: int,
    ) -> None:
        """Wait for the oldest batch: in order, so that everything before a checkpoint is done."""
        batch, task = window[0]
        refused = await task
        window.popleft()
        complaints.add(sorted(batch.bad + refused), batch.without_output)
        done = self.progress
        done.offset, done.line = batch.last.offset, batch.last.number
        done.rejected += len(batch.bad) + len(refused)
        done.imported += len(batch.calls) - len(refused)
        not_taken = dict(refused)
        if (last := next((call for line, call in reversed(batch.calls) if line not in not_taken), None)) is not None:
            done.last_call = orjson.loads(last)["id"]
        if done.imported:
            complaints.print()
        rate = (done.imported + done.rejected - before) / max(time.monotonic() - started, 1e-6)
        text = f"{_megabytes(batch.last.position)}, {number(done.imported)} calls, {number(round(rate))}/s"
        if done.rejected:
            text += f", {number(done.rejected)} rejected"
        shown.show(batch.last.position, self._source.size, text)
        if self._checkpoint:
            self._checkpoint.save(done)

    async def _send(self, calls: list[tuple[int, bytes]]) -> list[tuple[int, str]]:
        return await send(self._client.post, self._path, calls)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
