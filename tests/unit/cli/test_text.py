"""Text of others, as it is shown."""

import json

from app.client.text import clean, json_line


def test_text_is_made_safe() -> None:
    assert clean("a\x1b[0m\n\x9b\u202eb") == "a\\x1b[0m\\n\\x9b\\u202eb"
    assert clean("abcdef", 4) == "abc…"
    assert json.loads(json_line({"a": "\x1b\x9b\u202e\x7f"})) == {"a": "\x1b\x9b\u202e\x7f"}
    assert json_line("\x9b") == '"\\u009b"'
