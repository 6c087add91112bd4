"""A worker that reaches Kafka, of one broker, only through the proxy (tests.proxy) whose port is in PROXY_PORT."""

import os
import sys
from typing import Any

from aiokafka.conn import AIOKafkaConnection

from app.worker import run

_connect = AIOKafkaConnection.connect


async def connect(connection: Any) -> Any:
    connection._host, connection._port = "127.0.0.1", int(os.environ["PROXY_PORT"])
    return await _connect(connection)


AIOKafkaConnection.connect = connect

if __name__ == "__main__":
    sys.exit(run())
