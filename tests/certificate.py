"""A certificate for 127.0.0.1 that nobody has signed but itself: whoever is told to trust it trusts the server."""

import ssl
import subprocess
from pathlib import Path

_OPENSSL = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=callscore-test"]
_SAID = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "keyUsage=critical,digitalSignature,keyCertSign"]


class Certificate:
    """Made in `folder`: `path` is the PEM file that clients may trust."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "certificate.pem"
        self._key = folder / "key.pem"
        made = ["-out", str(self.path), "-keyout", str(self._key)]
        subprocess.run([*_OPENSSL, *_SAID, *made], check=True, capture_output=True)

    def server(self) -> ssl.SSLContext:
        """What a server shows it with."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.path, self._key)
        return context
