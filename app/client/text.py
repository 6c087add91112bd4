"""Formatting text and numbers, and making untrusted text safe to show."""

import re
from typing import Any

import orjson

# C0, DEL and C1 control terminals; bidirectional marks and line separators disguise text.
_INVISIBLE = "\\x7f-\\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069"
_UNSAFE = re.compile(f"[\\x00-\\x1f{_INVISIBLE}\\ud800-\\udfff]")
_UNSAFE_IN_JSON = re.compile(f"[{_INVISIBLE}]")
_UNITS = (("s", 1), ("min", 60), ("h", 3600))


def clean(text: str, limit: int | None = None) -> str:
    """`text` on one line with control characters escaped, cut to `limit` characters."""
    safe = _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return safe if limit is None or len(safe) <= limit else f"{safe[: limit - 1]}…"


def json_line(value: Any) -> str:
    """`value` as JSON on one line, without raw control characters."""
    text = orjson.dumps(value).decode()
    return _UNSAFE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def bare(value: Any) -> str:
    """A value in short: text without quotes, numbers with four digits, otherwise JSON."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json_line(value)


def number(value: int) -> str:
    """12345 as 12,345."""
    return f"{value:,}"


def natural(name: str) -> list[tuple[bool, int, str]]:
    """A key that sorts names as people do: check_2 before check_10."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]


def rate(per_second: float) -> str:
    """A rate in the shortest unit in which it is at least 1: 1,200/s, 2.5/s, 30/min, 4/h."""
    unit, length = next(((unit, length) for unit, length in _UNITS if per_second * length >= 1), _UNITS[-1])
    often = per_second * length
    return f"{number(round(often))}/{unit}" if often >= 10 else f"{often:.2g}/{unit}"


def plural(count: int, noun: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def seconds(value: float) -> str:
    """A readable duration: 0.4 s, 12 s, 3 min 20 s."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 60:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s"
