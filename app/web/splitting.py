"""A submission split into the chunks that are written to the log."""

from app import ids, topics
from app.events import ScoreRequested
from app.slices import Turns
from app.web.bodies import MAX_ERRORS
from app.web.errors import Detail, detail

CHUNK_CALLS = 500
_BATCH = 256  # ids between two looks at the clock

Chunk = tuple[int, list[str]]  # partition, call ids


async def check_call_ids(call_ids: list[str], turns: Turns) -> list[Detail]:
    """What is wrong with call ids, at most 1,000 mistakes."""
    mistakes: list[Detail] = []
    for index, call_id in enumerate(call_ids):
        try:
            ids.check_id(call_id)
        except ids.BadId as error:
            mistakes.append(detail(["body", "call_ids", index], f"Call id {error}", "invalid_id"))
            if len(mistakes) >= MAX_ERRORS:
                break
        if index % _BATCH == 0:
            await turns.breathe()
    return mistakes


async def split(project_id: str, call_ids: list[str], turns: Turns) -> tuple[int, list[Chunk]]:
    """How many distinct calls there are, and their ids in chunks of one partition, at most 500 in each.

    An id counts once, where it was first named; inside a chunk ids keep their order.
    """
    open_chunks: dict[int, list[str]] = {}
    chunks: list[Chunk] = []
    seen: set[str] = set()
    partitions = topics.partitions()
    for index, call_id in enumerate(call_ids):
        if index % _BATCH == 0:
            await turns.breathe()
        if call_id in seen:
            continue
        seen.add(call_id)
        partition = ids.partition_of(ids.call_key(project_id, call_id), partitions)
        chunk = open_chunks.get(partition)
        if chunk is None or len(chunk) >= CHUNK_CALLS:
            chunk = open_chunks[partition] = []
            chunks.append((partition, chunk))
        chunk.append(call_id)
    return len(seen), chunks


def chunk_event(
    request_id: str, number: int, chunk: Chunk, project_id: str, scorer_refs: list[str], occasion: str, at: float
) -> ScoreRequested:
    """The event of chunk `number` of a request."""
    return ScoreRequested(
        request_id=request_id,
        chunk=number,
        project_id=project_id,
        call_ids=chunk[1],
        scorer_refs=scorer_refs,
        occasion=occasion,
        requested_at=at,
    )
