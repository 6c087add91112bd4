"""A stream of server-sent events is read the same however it is cut."""

from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from app.client.sse import server_sent

STREAM = (
    b'retry: 500\n\nid: a\ndata: {"n": "1: 2"}\n\n: nothing new\n\nid: b\ndata: {}\n\ndata: {"last": 1}\n\nid: c\nda'
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=6).map(sorted))
async def test_events_are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for begin, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True):
            yield STREAM[begin:end]

    found = [event async for event in server_sent(chunks())]
    assert found == [("a", b'{"n": "1: 2"}'), ("b", b"{}"), ("b", b'{"last": 1}')]
