"""A self-signed certificate for loopback: a key store for the brokers, and a file to trust for their clients."""

import subprocess
from pathlib import Path

from kafka.properties import STORE_PASSWORD

STORE = "broker.p12"
TRUSTED = "trusted.pem"


def ensure(folder: Path, java: str) -> tuple[Path, Path]:
    """The key store and the PEM file in `folder`, made with the JDK's keytool if they are missing."""
    store, trusted = folder / STORE, folder / TRUSTED
    if not trusted.exists():
        folder.mkdir(parents=True, exist_ok=True)
        store.unlink(missing_ok=True)
        keytool = [str(Path(java).resolve().with_name("keytool"))]
        common = ["-alias", "broker", "-keystore", str(store), "-storetype", "PKCS12", "-storepass", STORE_PASSWORD]
        names = ["-dname", "CN=callscore test broker", "-ext", "san=dns:localhost,ip:127.0.0.1"]
        key = ["-keyalg", "EC", "-groupname", "secp256r1", "-validity", "3650"]
        subprocess.run([*keytool, "-genkeypair", *common, *names, *key], check=True, capture_output=True)
        made = subprocess.run([*keytool, "-exportcert", "-rfc", *common], check=True, capture_output=True)
        trusted.write_bytes(made.stdout)
    return store, trusted
