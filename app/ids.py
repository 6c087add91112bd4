"""Keys and derived ids of calls, tasks and requests, and the partition that owns a key."""

import hashlib
import os
import re
import threading
import time
import zlib
from uuid import UUID

SEPARATOR = b"\x00"
MAX_ID_BYTES = 512
MAX_REF_BYTES = 2 * MAX_ID_BYTES + len("weave:///" + "/call/")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class BadId(ValueError):
    """A project, call or scorer name that cannot be an id; the message says why."""


def check_id(value: str, longest: int = MAX_ID_BYTES) -> str:
    """`value` if it can be an id: 1 to 512 bytes of UTF-8, or to `longest`, without control characters.

    Raises:
        BadId: otherwise.
    """
    if not value:
        raise BadId("must not be empty")
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError:
        raise BadId("must be valid UTF-8") from None
    if size > longest:
        raise BadId(f"must be at most {longest} bytes long, this one has {size}")
    return without_control(value)


def without_control(value: str) -> str:
    """`value` if it contains no control characters, and so can be a part of a key. Raises BadId otherwise."""
    if not (value.isascii() and value.isprintable()) and _CONTROL.search(value):
        raise BadId("must not contain control characters")
    return value


def check_ref(value: str) -> str:
    """`value` if it can be the ref of a call, or of anything else. Raises BadId otherwise."""
    return check_id(value, MAX_REF_BYTES)


def join_key(*parts: str) -> bytes:
    """A key of checked ids, joined with 0x00 (which no id contains)."""
    return SEPARATOR.join(part.encode() for part in parts)


def split_key(key: bytes) -> list[str]:
    """The parts of a key made by `join_key`."""
    return [part.decode() for part in key.split(SEPARATOR)]


def is_below(key: str, *parts: str, names: int) -> bool:
    """Whether a key has `names` parts, the first of which are these."""
    found = key.split("\x00")
    return len(found) == names and found[: len(parts)] == list(parts)


def call_key(project_id: str, call_id: str) -> bytes:
    """The partitioning key of a call, its tasks and its scores."""
    return f"{project_id}\x00{call_id}".encode()


def call_ref(project_id: str, call_id: str) -> str:
    """Weave's ref of a call."""
    return f"weave:///{project_id}/call/{call_id}"


def call_of_ref(project_id: str, ref: str) -> str | None:
    """The id of the call that a Weave ref names; None if it names something else, or another project's call."""
    found = ref.removeprefix(call_ref(project_id, ""))
    return found if found and found != ref else None


def scorer_key(project_id: str | None, name: str) -> bytes:
    """The partitioning key of a scorer's versions; a scorer of no project has the empty project."""
    return f"{project_id or ''}\x00{name}".encode()


def task_key(project_id: str, call_id: str, scorer_ref: str, occasion: str = "") -> bytes:
    """The row key of a task and its score: behind the call key, so that a call's rows lie together."""
    return f"{project_id}\x00{call_id}\x00{scorer_ref}\x00{occasion}".encode()


def chunk_key(request_id: str, chunk: int) -> bytes:
    """The key of one chunk of a request; chunks sort by number."""
    return f"{request_id}\x00{chunk:08d}".encode()


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that owns a partitioning key: CRC-32 modulo P, as librdkafka's `consistent` partitioner."""
    return zlib.crc32(key) % partitions


def digest(*parts: str) -> str:
    """32 hex digits over the length-prefixed parts, so that no two lists of parts share an encoding."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        data = part.encode()
        hasher.update(len(data).to_bytes(4, "big"))
        hasher.update(data)
    return hasher.hexdigest()


_DIGEST = re.compile(r"[0-9a-f]{32}")


def is_digest(value: object) -> bool:
    """Whether a value may come from `digest`."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def task_id(project_id: str, call_id: str, scorer_ref: str, occasion: str = "") -> str:
    """The id of a task: the same call, scorer and occasion give the same id."""
    return digest(project_id, call_id, scorer_ref, occasion)


_last_ms = 0
_counter = 0
_uuid_lock = threading.Lock()


def new_request_id() -> str:
    """A UUIDv7 (RFC 9562): sorts by time, within this process even in one millisecond."""
    global _last_ms, _counter
    with _uuid_lock:
        now = time.time_ns() // 1_000_000
        if now > _last_ms:
            _last_ms, _counter = now, int.from_bytes(os.urandom(2), "big") & 0x7FF
        else:
            _counter += 1
            if _counter > 0xFFF:
                _last_ms, _counter = _last_ms + 1, 0
        value = (_last_ms << 80) | (0x7 << 76) | (_counter << 64) | (0b10 << 62)
    return str(UUID(int=value | int.from_bytes(os.urandom(8), "big") >> 2))
