"""One broker: a JVM that is formatted, started, watched, paused, stopped and killed."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from kafka import jars

START_SECONDS = 120.0
STOP_SECONDS = 30.0
READY = b"Kafka Server started"
LOGGING = Path(__file__).resolve().parent / "log4j2.properties"
# Small and quick to start: the optimizing compiler and a parallel collector would cost more than they gain.
JVM = ("-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.awt.headless=true")
# Otherwise a broker whose launcher is killed would run for ever and keep its ports.
DIES_WITH_LAUNCHER = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"


class BrokerFailed(Exception):
    """A broker could not be formatted or started; the message ends with its log."""


class Runtime:
    """What brokers are run with: a JVM and Kafka's jars.

    Raises:
        KafkaMissing: Java, Maven or the jars are missing.
    """

    def __init__(self) -> None:
        self.java = jars.java()
        self.folder = jars.ensure()
        self.archive = self.folder / jars.ARCHIVE

    def command(self, main: str, *arguments: str, archive: str | None = None) -> list[str]:
        """The command line that runs the class `main`."""
        if archive is None and self.archive.exists():
            archive = f"-XX:SharedArchiveFile={self.archive}"
        flags = [*JVM, *([archive] if archive else []), f"-Dlog4j2.configurationFile={LOGGING}"]
        return [self.java, *flags, "-cp", jars.classpath(self.folder), main, *arguments]


class Broker:
    """The broker that `properties` describe; its output is kept in server.log."""

    def __init__(self, runtime: Runtime, folder: Path, properties: str, archive: str | None = None) -> None:
        self.folder = folder
        self.log = folder / "server.log"
        self.properties = folder / "server.properties"
        folder.mkdir(parents=True, exist_ok=True)
        self.properties.write_text(properties)
        self._runtime = runtime
        self._archive = archive
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._spawned = threading.Event()
        self._ready_or_ended = threading.Event()

    @property
    def formatted(self) -> bool:
        return (self.folder / "logs" / "meta.properties").is_file()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None, "never started"
        return self._process.pid

    def format(self, cluster_id: str, users: Mapping[str, str] | None = None) -> None:
        """Prepare an empty folder, with SCRAM credentials for `users`."""
        # As one argument, since an id may begin with a dash.
        arguments = ["format", f"--cluster-id={cluster_id}", "--config", str(self.properties)]
        for name, password in (users or {}).items():
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                arguments += ["--add-scram", f"{mechanism}=[name={name},password={password}]"]
        command = self._runtime.command("kafka.tools.StorageTool", *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BrokerFailed(f"{self.folder} could not be formatted: {(done.stderr or done.stdout).strip()[-2000:]}")

    def start(self) -> None:
        """Start the JVM, without waiting until it serves."""
        assert not self.alive, "already running"
        self._spawned.clear()
        self._ready_or_ended.clear()
        self._watcher = threading.Thread(target=self._watch, name=f"kafka-{self.folder.name}", daemon=True)
        self._watcher.start()
        self._spawned.wait()

    def _watch(self) -> None:
        # prctl ends the JVM with the thread that spawned it, so this thread stays until the JVM has ended.
        command = self._runtime.command("kafka.Kafka", str(self.properties), archive=self._archive)
        if sys.platform == "linux":
            command = [sys.executable, "-I", "-S", "-c", DIES_WITH_LAUNCHER, *command]
        try:
            with (
                self.log.open("ab") as log,
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C goes to the launcher only
                ) as process,
            ):
                self._process = process
                self._spawned.set()
                assert process.stdout is not None
                for line in process.stdout:
                    log.write(line)
                    log.flush()
                    if READY in line:
                        self._ready_or_ended.set()
        finally:
            self._spawned.set()
            self._ready_or_ended.set()

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until it serves clients."""
        if not self._ready_or_ended.wait(seconds):
            raise BrokerFailed(f"{self.folder.name} did not start within {seconds:.0f} seconds:\n{self.tail()}")
        if not self.alive:
            raise BrokerFailed(f"{self.folder.name} ended at its start:\n{self.tail()}")

    def terminate(self) -> None:
        """Ask it to stop, without waiting."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)

    def wait_ended(self, seconds: float = STOP_SECONDS) -> None:
        """Wait until it has ended; one that takes too long is killed."""
        if self._watcher is not None:
            self._watcher.join(seconds)
            if self._watcher.is_alive():
                self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)
        if self._watcher is not None:
            self._watcher.join()

    def pause(self) -> None:
        """Stop its process with all connections open, like a machine that hangs."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue after `pause`."""
        self._signal(signal.SIGCONT)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, number)
