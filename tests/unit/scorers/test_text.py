"""The one text by which an output is judged."""

from typing import Any

import pytest

from app.scorers.sizes import is_at_most
from app.scorers.text import text_of


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("plain", "plain"),
        ({"choices": [{"message": {"role": "assistant", "content": "chat"}}]}, "chat"),
        ({"choices": [{"text": "legacy"}]}, "legacy"),
        ({"message": {"content": "one message"}}, "one message"),
        ({"content": [{"type": "text", "text": "a "}, {"type": "image"}, {"type": "text", "text": "b"}]}, "a b"),
        ({"text": "a text", "tokens": 3}, "a text"),
        ({"content": "a content"}, "a content"),
        ({"text": "two", "content": "texts"}, '{"content":"texts","text":"two"}'),
        ({"b": 1, "a": [True, None]}, '{"a":[true,null],"b":1}'),
        ({"choices": [{"message": {"content": None}}]}, '{"choices":[{"message":{"content":null}}]}'),
        (None, "null"),
        (10**30, "1" + "0" * 30),
    ],
)
def test_an_output_is_judged_by_its_one_obvious_text_else_by_its_json(output: Any, text: str) -> None:
    assert text_of(output) == text


def test_sizes_count_texts_keys_and_scalars_up_to_a_limit() -> None:
    assert is_at_most(["abc", "de"], 5)
    assert not is_at_most(["abc", "def"], 5)
    assert is_at_most([{"key": ["text"]}], 8 + 3 + 8 + 4)
    assert not is_at_most([{"key": ["text"]}], 8 + 3 + 8 + 3)
    assert not is_at_most([[0] * 1_000_000], 1_000)
