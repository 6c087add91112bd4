"""Changing a user's password while brokers run: AlterUserScramCredentials, which aiokafka does not have.

Contract: kafka.apache.org/protocol, API key 51, version 0, and RFC 5802 for what is stored of a password.
"""

import hashlib
import os
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

ITERATIONS = 4096
NUMBERS = {"SCRAM-SHA-256": 1, "SCRAM-SHA-512": 2}
_TEXT = CompactString("utf-8")


class AlterScramResponse(Response):
    """What became of each user."""

    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("results", CompactArray(("user", _TEXT), ("error", Int16), ("message", _TEXT), ("tags", TaggedFields))),
        ("tags", TaggedFields),
    )


class AlterScramStruct(RequestStruct):
    """The request on the wire."""

    API_KEY = 51
    API_VERSION = 0
    RESPONSE_TYPE = AlterScramResponse
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("deletions", CompactArray(("name", _TEXT), ("mechanism", Int8), ("tags", TaggedFields))),
        (
            "upsertions",
            CompactArray(
                ("name", _TEXT),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class AlterScram(Request[AlterScramStruct]):
    """Gives a user another password for one mechanism."""

    API_KEY = 51

    def __init__(self, user: str, mechanism: str, password: str) -> None:
        salt = os.urandom(16)
        digest = mechanism.removeprefix("SCRAM-").replace("-", "").lower()
        salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, ITERATIONS)
        self._upsertion: tuple[Any, ...] = (user, NUMBERS[mechanism], ITERATIONS, salt, salted, {})

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class([], [self._upsertion], {})
