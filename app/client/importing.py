"""Importing the lines of a file as calls."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from itertools import islice
from typing import IO

import orjson

from app.client.batches import Batch, batches, path_of, send
from app.client.checkpoint import Checkpoint, Progress
from app.client.complaints import Complaints
from app.client.errors import Refused, Unreachable
from app.client.feed import feed
from app.client.fields import Fields, Seen
from app.client.formats import checked
from app.client.http import Client
from app.client.lines import Source
from app.client.output import note
from app.client.progress import Bar, bar
from app.client.text import number

_IN_FLIGHT = 4


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
