import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.embedded.record import Record, decode, encode

content = st.none() | st.binary(max_size=300)
headers = st.lists(st.tuples(st.text(max_size=20), content), max_size=5)


@given(st.integers(-(2**63), 2**63 - 1), content, content, headers)
def test_every_record_is_decoded_as_it_was_encoded(
    timestamp: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    raw = encode(timestamp, key, value, headers)
    assert decode("calls", 3, 7, raw) == Record("calls", 3, 7, timestamp, key, value, headers)


@pytest.mark.parametrize(("key", "value"), [("text", b""), (b"", "text"), (1, b"")])
def test_only_bytes_are_encoded(key: bytes, value: bytes) -> None:
    with pytest.raises(TypeError):
        encode(0, key, value)
