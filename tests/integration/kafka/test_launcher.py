"""`make kafka`: brokers in the foreground, and a clear word where they cannot run."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kafka import jars, ports
from tests.kafka import KafkaCluster, need_own_brokers
from tests.service import ROOT, attempts

STOP_SECONDS = 60.0
Launch = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Starts launchers; whichever still runs at the end of the test is killed, and its brokers with it."""
    need_own_brokers()
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **variables: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "kafka", *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_listening(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert " listens at 127.0.0.1:" in line, process.communicate()


def free_port() -> int:
    """A port with enough free ones after it for all listeners of a broker."""
    return next(port for port in ports.free(100) if ports.is_free(port + 10))


def wait_free(port: int) -> None:
    assert any(ports.is_free(port) for _ in attempts(STOP_SECONDS)), f"somebody still listens on {port}"


def test_an_interrupted_broker_stops_cleanly_and_has_its_topics_when_it_is_started_again(
    launch: Launch, tmp_path: Path
) -> None:
    port = free_port()
    kafka = KafkaCluster(f"127.0.0.1:{port}")
    for number, known in ((signal.SIGINT, set()), (signal.SIGTERM, {"kept"})):
        process = launch("--port", port, "--dir", tmp_path)
        wait_listening(process)
        assert kafka.topics() == known
        if not known:
            kafka.create_topic("kept")
        process.send_signal(number)
        assert process.wait(STOP_SECONDS) == 0
        assert ports.is_free(port)


@pytest.mark.skipif(sys.platform != "linux", reason="brokers are bound to their launcher's life on Linux only")
def test_no_broker_outlives_its_killed_launcher(launch: Launch, tmp_path: Path) -> None:
    port = free_port()
    process = launch("--port", port, "--dir", tmp_path)
    wait_listening(process)
    process.kill()
    wait_free(port)


def test_a_folder_of_three_brokers_is_not_started_as_one(launch: Launch, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        logs = tmp_path / f"broker-{number}" / "logs"
        logs.mkdir(parents=True)
        (logs / "meta.properties").touch()
    process = launch("--port", free_port(), "--dir", tmp_path)
    _, said = process.communicate(timeout=STOP_SECONDS)
    assert process.returncode == 2
    assert said == f"{tmp_path} holds a cluster of 3, not of 1: choose another KAFKA_DIR.\n"


def test_a_taken_port_is_named(launch: Launch, tmp_path: Path, kafka: KafkaCluster) -> None:
    port = kafka.address.rsplit(":", 1)[1]
    process = launch("--port", port, "--dir", tmp_path)
    _, said = process.communicate(timeout=STOP_SECONDS)
    assert process.returncode == 2
    assert said == f"Port {port} of 127.0.0.1 is taken: choose another KAFKA_PORT.\n"


def test_a_missing_jdk_is_said_in_one_sentence(tmp_path: Path) -> None:
    bare = {"PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "kafka", "--jars-only"], cwd=ROOT, env=bare, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "Kafka needs a JDK of version 17 or newer, and there is no java on the PATH.\n"


def test_a_missing_maven_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "STORE", tmp_path / "jars")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(jars.KafkaMissing, match=r"^Kafka's jars are fetched with Maven, and there is no mvn"):
        jars.ensure()


def test_jars_that_cannot_be_had_are_said_with_mavens_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho '[ERROR] Could not resolve dependencies'\necho '[ERROR] more'\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setattr(jars, "STORE", tmp_path / "jars")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(jars.KafkaMissing, match=r"^Maven could not get Kafka's jars: Could not resolve dependencies$"):
        jars.ensure()
