"""Prompts: templates with fields of the call, in which logged text is marked as data that cannot pass as a prompt."""

import json
import string
from collections import Counter
from collections.abc import Mapping
from typing import Any

from app import ids, paths
from app.paths import ABSENT
from app.scorers.arguments import inputs_of, lacks, value_of
from app.scorers.base import Call
from app.scorers.errors import NoJudgement

MAX_BYTES = 2 * 1024**2  # of a prompt, which may name the whole of the largest call twice
_MARK_CHARACTERS = 16
_JSON = json.JSONEncoder(ensure_ascii=False, indent=1)


class Template:
    """A text with fields such as `{output}`, `{input}`, `{question}` or `{attributes.model}`; `{{` is a brace.

    Raises:
        ValueError: on creation, if the text is not a template; the message says why.
    """

    def __init__(self, text: str) -> None:
        self._parts: list[tuple[str, str | None]] = []
        for literal, name, spec, conversion in string.Formatter().parse(text):
            if spec or conversion:
                problem = f"{{{name}}} must be a name alone, without ':' and '!'"
                raise ValueError(f"{problem}; write {{{{ and }}}} for braces")
            if name is not None and not all(part for part in name.split(".")):
                raise ValueError("a field needs a name, as in {output}; write {{ and }} for braces")
            self._parts.append((literal, name))
        self._uses = Counter(name for _, name in self._parts if name is not None)
        self.fields = tuple(self._uses)
        self._own_bytes = len(_encoded(self.render(dict.fromkeys(self.fields, ""))))

    def texts(self, call: Call) -> dict[str, str]:
        """The text of the call for each field. Raises MissingInput, and NoJudgement if the prompt gets too large."""
        inputs = inputs_of(call)
        found = {name: at(name, call, inputs) for name in self.fields}
        missing = [name for name, value in found.items() if value is ABSENT]
        if missing:
            raise lacks(missing, inputs)
        texts = {}
        room = MAX_BYTES - self._own_bytes
        for name, value in found.items():
            text = _encoded(_text(value, room))
            room -= len(text) * self._uses[name]
            if room < 0:
                raise NoJudgement("request_too_large", "with this call, the prompt gets larger than 2 MiB")
            texts[name] = text.decode()
        return texts

    def render(self, texts: Mapping[str, str]) -> str:
        """The prompt, with the text of each field between marks that no text can contain.

        A mark is a digest of the texts: whoever writes a text that has the mark in it changes the mark.
        """
        mark = ids.digest(*texts.values())[:_MARK_CHARACTERS]
        return "".join(
            literal + ("" if name is None else f"\n<data {mark} {name}>\n{texts[name]}\n</data {mark}>\n")
            for literal, name in self._parts
        )


def at(name: str, call: Call, inputs: Mapping[str, Any]) -> Any:
    """The value of a call at `output`, `input`, an input's name, or a path such as `attributes.model`; else ABSENT."""
    first, dot, rest = name.partition(".")
    value = value_of(first, call, inputs)
    found = paths.at(value, rest) if dot else value
    return value_of(name, call, inputs) if found is ABSENT else found  # an input's name may contain dots


def _text(value: Any, room: int) -> str:
    """The value as text; JSON is cut off once it is too large for `room`, since its indentation may take 50 MB."""
    if isinstance(value, str):
        return value
    parts = []
    for part in _JSON.iterencode(value):
        parts.append(part)
        room -= len(part)
        if room < 0:
            break
    return "".join(parts)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
