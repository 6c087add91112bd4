"""Lends the brokers of tests/kafka.py to the tests in this folder."""

from tests.kafka import _three_brokers, three_brokers

__all__ = ["_three_brokers", "three_brokers"]
