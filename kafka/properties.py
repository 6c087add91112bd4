"""The server.properties of one broker, which is also a controller."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
CONTROLLER = "CONTROLLER"
PLAINTEXT = "PLAINTEXT"
SECURE = {"SASL": "SASL_PLAINTEXT", "TLS": "SSL", "SASL_TLS": "SASL_SSL"}  # listener: its protocol
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
STORE_PASSWORD = "on-loopback"  # noqa: S105 - of a certificate that only loopback uses


@dataclass(frozen=True)
class Member:
    """One of a cluster's brokers: its number, and the port of each of its listeners."""

    number: int
    ports: Mapping[str, int]

    def address(self, listener: str = PLAINTEXT) -> str:
        return f"{HOST}:{self.ports[listener]}"


@dataclass(frozen=True)
class Security:
    """What the listeners of SECURE need."""

    key_store: Path
    users: Mapping[str, str] = field(default_factory=dict)  # name: password


def server_properties(
    me: Member,
    members: list[Member],
    logs: Path,
    security: Security | None = None,
    overrides: Mapping[str, str] | None = None,
) -> str:
    """The file's text, for a small broker that shares its machine with its clients; `overrides` win."""
    copies = min(3, len(members))
    protocols = {CONTROLLER: PLAINTEXT, PLAINTEXT: PLAINTEXT} | (SECURE if security else {})
    listeners = {name: me.address(name) for name in protocols}
    lines = {
        "process.roles": "broker,controller",
        "node.id": str(me.number),
        "controller.quorum.voters": ",".join(f"{member.number}@{member.address(CONTROLLER)}" for member in members),
        "controller.listener.names": CONTROLLER,
        "inter.broker.listener.name": PLAINTEXT,
        "listeners": _joined(listeners, "://"),
        "advertised.listeners": _joined({n: a for n, a in listeners.items() if n != CONTROLLER}, "://"),
        "listener.security.protocol.map": _joined(protocols, ":"),
        "log.dirs": str(logs),
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(copies),
        "offsets.topic.replication.factor": str(copies),
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": str(max(1, copies - 1)),
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": str(copies),
        "share.coordinator.state.topic.min.isr": str(max(1, copies - 1)),
        "group.initial.rebalance.delay.ms": "0",
        # Short enough to notice a killed broker within seconds, long enough for one that is merely slow.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "500",
        # The default, 128 MiB, is more than all the rest of an idle broker.
        "log.cleaner.dedupe.buffer.size": str(8 * 1024 * 1024),
        "num.network.threads": "2",
        "num.io.threads": "4",
        "metric.reporters": "",
    }
    if security:
        lines |= _secured(security)
    lines |= overrides or {}
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _joined(pairs: Mapping[str, str], joint: str) -> str:
    return ",".join(f"{name}{joint}{value}" for name, value in pairs.items())


def _secured(security: Security) -> dict[str, str]:
    lines = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
        "super.users": "User:ANONYMOUS",  # clients without SASL, such as the brokers themselves
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": str(security.key_store),
        "ssl.keystore.password": STORE_PASSWORD,
        "ssl.key.password": STORE_PASSWORD,
    }
    plain = "".join(f' user_{name}="{password}"' for name, password in security.users.items())
    modules = {
        "plain": f"org.apache.kafka.common.security.plain.PlainLoginModule required{plain};",
        "scram-sha-256": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
        "scram-sha-512": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    }
    for listener in ("sasl", "sasl_tls"):
        lines[f"listener.name.{listener}.sasl.enabled.mechanisms"] = ",".join(MECHANISMS)
        for mechanism, module in modules.items():
            lines[f"listener.name.{listener}.{mechanism}.sasl.jaas.config"] = module
    return lines
