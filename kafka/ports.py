"""Ports on loopback for brokers that are stopped and come back to the same ones."""

import random
import socket
from pathlib import Path

LOWEST = 10_000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free(count: int) -> list[int]:
    """`count` different ports that nobody listens on.

    They lie below the range that the system gives to outgoing connections, which could take a broker's port
    while the broker is down.
    """
    highest = int(RANGE.read_text().split()[0]) if RANGE.exists() else 32_768
    candidates = random.sample(range(LOWEST, max(highest, LOWEST + 10_000)), 1000)
    found: list[int] = []
    for port in candidates:
        if len(found) == count:
            break
        if is_free(port):
            found.append(port)
    return found


def is_free(port: int) -> bool:
    """Whether a broker could listen on this port of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
