"""A cluster of brokers that are started and stopped together; each can also be killed or paused alone."""

import base64
import tempfile
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kafka import certificate, jars, ports
from kafka.broker import Broker, Runtime
from kafka.properties import CONTROLLER, PLAINTEXT, SECURE, Member, Security, server_properties

USERS = {"alice": "alice-password", "bob": "bob-password"}
STRIDE = 10  # between the ports of a broker's listeners, if a port is given


class WrongCluster(Exception):
    """The cluster cannot be made as asked; the message is one sentence that says why."""


class Cluster:
    """`brokers` brokers below `folder`, on free ports or from `port` on.

    With `secure`, each also listens for SASL, for TLS and for both, and ACLs apply to SASL users.
    `settings` are added to every server.properties.
    """

    def __init__(
        self,
        folder: Path,
        brokers: int = 1,
        port: int | None = None,
        secure: bool = False,
        settings: Mapping[str, str] | None = None,
        runtime: Runtime | None = None,
        archive: str | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.runtime = runtime or Runtime()
        self.secure = secure
        self.members = _members(brokers, port, secure)
        security = None
        self.trusted: Path | None = None
        if secure:
            store, self.trusted = certificate.ensure(self.folder / "certificate", self.runtime.java)
            security = Security(store, USERS)
        self._refuse_another_size(brokers)
        self.brokers = {
            member.number: Broker(
                self.runtime,
                self._home(member),
                server_properties(member, self.members, self._home(member) / "logs", security, settings),
                archive,
            )
            for member in self.members
        }

    def _home(self, member: Member) -> Path:
        return self.folder / f"broker-{member.number}"

    def _refuse_another_size(self, brokers: int) -> None:
        there = len(list(self.folder.glob("broker-*/logs/meta.properties")))
        if there not in (0, brokers):
            raise WrongCluster(f"{self.folder} holds a cluster of {there}, not of {brokers}: choose another KAFKA_DIR.")

    def address(self, listener: str = PLAINTEXT) -> str:
        """Where clients find the brokers: PLAINTEXT, or one of SASL, TLS and SASL_TLS."""
        return ",".join(member.address(listener) for member in self.members)

    def start(self) -> None:
        """Start all brokers and wait until each serves; if one does not, all are killed."""
        taken = [port for member in self.members for port in member.ports.values() if not ports.is_free(port)]
        if taken:
            raise WrongCluster(f"Port {taken[0]} of 127.0.0.1 is taken: choose another KAFKA_PORT.")
        self._format()
        try:
            self.heal()
        except BaseException:
            self.kill()
            raise

    def _format(self) -> None:
        unformatted = [broker for broker in self.brokers.values() if not broker.formatted]
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        with ThreadPoolExecutor() as pool:
            for done in [pool.submit(broker.format, cluster_id, USERS) for broker in unformatted]:
                done.result()

    def heal(self) -> None:
        """Resume every broker that is paused, start every one that is down, and wait until all serve."""
        for broker in self.brokers.values():
            broker.resume()
            if not broker.alive:
                broker.start()
        for broker in self.brokers.values():  # only now: none serves before a majority runs
            broker.wait_ready()

    def stop(self) -> None:
        """Stop all brokers cleanly."""
        for broker in self.brokers.values():
            broker.terminate()
        for broker in self.brokers.values():
            broker.wait_ended()

    def kill(self) -> None:
        """End all brokers at once."""
        for broker in self.brokers.values():
            broker.kill()

    def restart(self, number: int) -> None:
        """Stop one broker cleanly if it runs, start it, and wait until it serves."""
        broker = self.brokers[number]
        broker.terminate()
        broker.wait_ended()
        broker.start()
        broker.wait_ready()


def _members(brokers: int, port: int | None, secure: bool) -> list[Member]:
    listeners = [PLAINTEXT, CONTROLLER, *(SECURE if secure else ())]
    if port is None:
        free = ports.free(brokers * len(listeners))
        numbers = [free[n * len(listeners) : (n + 1) * len(listeners)] for n in range(brokers)]
    else:
        numbers = [[port + n + STRIDE * place for place in range(len(listeners))] for n in range(brokers)]
    return [Member(n + 1, dict(zip(listeners, its, strict=True))) for n, its in enumerate(numbers)]


def make_archive(runtime: Runtime) -> None:
    """Archive the classes that a broker loads beside the jars, so that later brokers start in half the time."""
    with jars.alone():
        if not runtime.archive.exists():
            _make_archive(runtime)


def _make_archive(runtime: Runtime) -> None:
    with tempfile.TemporaryDirectory() as folder:
        unfinished = runtime.folder / f"{Path(folder).name}.unfinished"
        once = Cluster(Path(folder), runtime=runtime, archive=f"-XX:ArchiveClassesAtExit={unfinished}")
        once.start()
        once.stop()
        if unfinished.exists():
            unfinished.replace(runtime.archive)
