"""The id that Kafka gave a topic when it was created, which aiokafka does not ask for.

Contract: kafka.apache.org/protocol, API key 3 (Metadata), version 10.
"""

from io import BytesIO
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)
_NO_ID = UUID(int=0)


class _Uuid(AbstractType[UUID]):
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


class _Metadata(Response):
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(("id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), _TAGS)),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error", Int16),
                ("name", _TEXT),
                ("id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error", Int16),
                        ("number", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("in_sync", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        _TAGS,
                    ),
                ),
                ("allowed", Int32),
                _TAGS,
            ),
        ),
        ("allowed", Int32),
        _TAGS,
    )


class _AskStruct(RequestStruct):
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _Metadata
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("topics", CompactArray(("id", _Uuid), ("name", _TEXT), _TAGS)),
        ("create", Boolean),
        ("cluster_allowed", Boolean),
        ("topics_allowed", Boolean),
        _TAGS,
    )


class _Ask(Request[_AskStruct]):
    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[_AskStruct]) -> _AskStruct:
        return request_struct_class([(_NO_ID, self._topic, {})], False, False, False, {})


async def topic_id(admin: AIOKafkaAdminClient, topic: str) -> str:
    """The id of a topic: one that is deleted and created again has another. Raises KafkaError."""
    answer = await admin._send_request(_Ask(topic))
    [(error, _, found, *_)] = answer.topics
    if error:
        raise for_code(error)(f"topic {topic}")
    return str(found)
