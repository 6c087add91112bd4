"""Ports on loopback for brokers, which are stopped and started again on the same ports."""

import os
import random
import socket
from pathlib import Path

LOWEST = 10_000
LANES = 8
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free(count: int) -> list[int]:
    """`count` different ports that nobody listens on.

    They lie below the range for outgoing connections, one of which could take a broker's port while it is down.
    Parallel test processes choose from different ports, as two could find the same one before either listens.
    """
    highest = int(RANGE.read_text().split()[0]) if RANGE.exists() else 32_768
    lane = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % LANES
    candidates = random.sample(range(LOWEST + lane, max(highest, LOWEST + 10_000), LANES), 1000)
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
