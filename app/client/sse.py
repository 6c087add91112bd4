"""Reading server-sent events as callscore writes them, with `id` and `data` on one line each."""

from collections.abc import AsyncIterable, AsyncIterator


async def server_sent(chunks: AsyncIterable[bytes]) -> AsyncIterator[tuple[str, bytes]]:
    """(id, data) of every event in a stream of byte chunks; an event without an id has the id of the previous one."""
    rest, last = b"", ""
    async for chunk in chunks:
        *blocks, rest = (rest + chunk).split(b"\n\n")
        for block in blocks:
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
            last = fields.get(b"id", last.encode()).decode()
            if b"data" in fields:
                yield last, fields[b"data"]
