"""How a worker authenticates to Kafka, and verifies the brokers."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import faust
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from faust.types.auth import SASLMechanism


class Security(NamedTuple):
    """The security settings of a Kafka client, by the names that Kafka gives them."""

    protocol: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    username: str | None = None
    password: str | None = None
    cafile: Path | None = None
    certfile: Path | None = None
    keyfile: Path | None = None

    def credentials(self) -> Any:
        """The credentials for Faust; None for PLAINTEXT, which has none.

        Raises:
            OSError, ssl.SSLError: a file cannot be read, or is not a certificate or key.
        """
        if self.protocol == "PLAINTEXT":
            return None
        context = self._context() if self.protocol.endswith("SSL") else None
        if not self.protocol.startswith("SASL"):
            return faust.SSLCredentials(context)
        return faust.SASLCredentials(
            mechanism=SASLMechanism(self.mechanism),
            username=self.username,
            password=self.password,
            ssl_context=context,
        )

    def arguments(self) -> Mapping[str, Any]:
        """The keyword arguments for an aiokafka client."""
        return dict(credentials_to_aiokafka_auth(self.credentials()))

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.cafile)
        if self.certfile is not None:
            context.load_cert_chain(self.certfile, self.keyfile)
        return context
