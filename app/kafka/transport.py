"""Faust's Kafka driver as callscore uses it: sends that never fail unseen, commits that never pass unfinished work."""

from faust.transport.drivers import aiokafka as driver

from .consumer import Consumer
from .producer import Producer


class Transport(driver.Transport):
    """Registered for the scheme `kafka` in the place of Faust's own."""

    Consumer = Consumer
    Producer = Producer
    driver_version = f"callscore, {driver.Transport.driver_version}"
