"""Whether a port can be listened on."""

import socket


def check(host: str, port: int) -> None:
    """Raises OSError if nothing more can listen there, EADDRINUSE if something does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
