"""The one text by which built-in scorers judge an output.

- A string is judged as it is.
- A chat completion is judged by its message: `choices[0].message.content` (or `choices[0].text`), `message.content`.
  A content that is a list of parts is judged by its text parts, joined.
- Any other object with one obvious text, `text` or `content` but not both, is judged by that.
- Everything else is judged by its JSON text: compact, keys sorted, `null` for no output.
"""

import json
from typing import Any

import orjson
from pydantic_core import from_json

_SORTED = orjson.OPT_SORT_KEYS


def text_of(value: Any) -> str:
    """The text that an output, or an expected answer, is judged by."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        text = _message_text(value)
        if text is None:
            text = _only([_content_text(value.get("text")), _content_text(value.get("content"))])
        if text is not None:
            return text
    return _json_text(value)


def json_of(value: Any) -> Any:
    """The JSON value that an output is judged by: a string, or a chat completion's message, is parsed; an object or
    array is taken as it is, even if it has a `text` or `content`.

    Raises ValueError with the place if the text is not JSON (NaN and nesting over 200 levels are not).
    """
    text = value if isinstance(value, str) else _message_text(value) if isinstance(value, dict) else None
    return value if text is None else from_json(text, allow_inf_nan=False)


def _message_text(value: dict[str, Any]) -> str | None:
    choices = value.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        choice = choices[0]
        return _content_of(choice.get("message")) if "message" in choice else _content_text(choice.get("text"))
    return _content_of(value.get("message"))


def _content_of(message: Any) -> str | None:
    return _content_text(message.get("content")) if isinstance(message, dict) else None


def _content_text(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)]
        return "".join(parts) if parts else None
    return None


def _only(texts: list[str | None]) -> str | None:
    found = [text for text in texts if text is not None]
    return found[0] if len(found) == 1 else None


def _json_text(value: Any) -> str:
    try:
        return orjson.dumps(value, option=_SORTED).decode()
    except TypeError:
        # Numbers beyond 64 bits.
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
