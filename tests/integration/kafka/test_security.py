"""The secured listeners of the test brokers refuse what a secured Kafka refuses."""

import ssl
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError

from kafka.cluster import USERS
from kafka.properties import MECHANISMS
from tests.kafka import KafkaCluster


@pytest.fixture
def topic(secure: KafkaCluster) -> str:
    """A fresh topic."""
    name = f"topic-{uuid4().hex}"
    secure.create_topic(name)
    return name


def as_user(secure: KafkaCluster, user: str, mechanism: str = "PLAIN", password: str = "", tls: bool = False) -> Any:
    """A producer's settings, for the user with the right password unless another is given."""
    return {
        "bootstrap_servers": secure.secure_address("SASL_TLS" if tls else "SASL"),
        "security_protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT",
        "ssl_context": ssl.create_default_context(cafile=str(secure.trusted)) if tls else None,
        "sasl_mechanism": mechanism,
        "sasl_plain_username": user,
        "sasl_plain_password": password or USERS[user],
    }


async def write(topic: str, **settings: Any) -> None:
    producer = AIOKafkaProducer(acks="all", enable_idempotence=True, **settings)
    try:
        await producer.start()
        await producer.send_and_wait(topic, b"record")
    finally:
        await producer.stop()


@pytest.mark.parametrize("tls", [False, True], ids=["plaintext", "tls"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_user_with_the_right_password_may_write(
    secure: KafkaCluster, topic: str, mechanism: str, tls: bool
) -> None:
    await write(topic, **as_user(secure, "alice", mechanism, tls=tls))
    assert secure.ends(topic) == {0: 1}


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_wrong_password_is_refused(secure: KafkaCluster, topic: str, mechanism: str) -> None:
    with pytest.raises(KafkaConnectionError):
        await write(topic, **as_user(secure, "alice", mechanism, password="wrong"))


async def test_tls_shows_the_certificate_that_clients_are_told_to_trust(secure: KafkaCluster, topic: str) -> None:
    trusting = {"bootstrap_servers": secure.secure_address("TLS"), "security_protocol": "SSL"}
    await write(topic, **trusting, ssl_context=ssl.create_default_context(cafile=str(secure.trusted)))
    assert secure.ends(topic) == {0: 1}
    with pytest.raises(KafkaConnectionError):
        await write(topic, **trusting, ssl_context=ssl.create_default_context())


async def test_a_user_who_is_denied_a_topic_cannot_write_it_and_others_can(secure: KafkaCluster, topic: str) -> None:
    secure.deny("bob", "write", topic)
    with pytest.raises(TopicAuthorizationFailedError):
        await write(topic, **as_user(secure, "bob"))
    secure.allow("bob", "write", topic)
    await write(topic, **as_user(secure, "bob"))
