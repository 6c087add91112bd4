"""Faust's Kafka driver as callscore uses it: no send fails unnoticed, no commit passes unfinished work."""

from faust.transport.drivers import aiokafka as driver

from .consumer import Consumer
from .producer import Producer


class Transport(driver.Transport):
    """Registered for the scheme `kafka` in place of Faust's own."""

    Consumer = Consumer
    Producer = Producer
    driver_version = f"callscore, {driver.Transport.driver_version}"
