"""A network that can be cut: a TCP proxy on a thread of its own."""

import socket
import threading
from contextlib import suppress


class Proxy:
    """Forwards connections on `port` of loopback to `address` (host:port).

    What is sent while it is cut arrives when it is healed, as a sender's system sends again what nobody has confirmed,
    unless the sender has reset the connection by then.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._to = host, int(port)
        self._whole = threading.Event()
        self._whole.set()
        self._connections: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._whole.clear()

    def heal(self) -> None:
        # Before anything moves: who sends to a socket that was reset takes the error from whoever reads from it.
        for ends in list(self._connections):
            if any(end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for end in ends):
                _shut_down(ends)
        self._whole.set()

    def close(self) -> None:
        """Take no more connections; those that there are end with their clients."""
        self._whole.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._to)
                self._connections.append((client, server))
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=ends, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._whole.wait()
                target.sendall(data)
        _shut_down((source, target))


def _shut_down(ends: tuple[socket.socket, socket.socket]) -> None:
    for end in ends:
        with suppress(OSError):  # it was before
            end.shutdown(socket.SHUT_RDWR)
