"""The Kafka that these tests run on."""

from tests.kafka import _three_brokers, kafka, make_kafka, three_brokers

__all__ = ["_three_brokers", "kafka", "make_kafka", "three_brokers"]
