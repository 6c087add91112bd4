"""compose.yaml and Dockerfile run what the tests run, as far as that can be told without Docker's engine."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from app.kafka.setup import KEPT_FOR_EVER, MESSAGE_BYTES
from app.settings import PREFIX, Settings
from app.topics import ALL
from kafka import jars
from tests.service import ROOT, Service

COMPOSE = (ROOT / "compose.yaml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_compose_yaml_is_valid() -> None:
    docker = shutil.which("docker")
    environment = os.environ | {f"{PREFIX}CLUSTER_SECRET": "secret"}
    if docker and not subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        command = [docker, "compose", "--file", "compose.yaml", "config", "--quiet"]
    elif find_spec("check_jsonschema"):
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"]
    else:
        pytest.skip("neither docker compose nor check-jsonschema is installed")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_runs_the_kafka_that_the_tests_run() -> None:
    assert re.findall(r"apache/kafka:(\S+)", COMPOSE) == [jars.version()]


def test_compose_makes_the_topics_as_a_worker_would() -> None:
    (names,) = re.findall(r"for topic in (.+); do", COMPOSE)
    assert set(names.split()) == {topic.name for topic in ALL}
    configs = dict(re.findall(r"--config ([\w.]+)=(\S+)", COMPOSE))
    assert configs == KEPT_FOR_EVER | {
        "max.message.bytes": str(MESSAGE_BYTES),
        "min.insync.replicas": '"$$CALLSCORE_KAFKA_MIN_INSYNC"',
    }


def test_every_variable_that_compose_sets_is_a_setting() -> None:
    names = set(re.findall(rf"{PREFIX}(\w+)", COMPOSE))
    assert names <= {name.upper() for name in Settings.model_fields}


def start_command() -> list[str]:
    (command,) = re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)
    return [str(word) for word in json.loads(command)]


def test_compose_leaves_the_images_start_command_as_it_is() -> None:
    worker = COMPOSE.split("\n  worker:\n")[1].split("\nvolumes:\n")[0]
    assert "command:" not in worker
    assert "entrypoint:" not in worker


def test_the_images_start_command_runs_a_worker_until_it_is_told_to_stop(tmp_path: Path) -> None:
    class FromImage(Service):
        command = start_command()

        @property
        def environment(self) -> dict[str, str]:
            return super().environment | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

        def spawn(self) -> None:
            with self.log_path.open("ab") as log:
                self._process = subprocess.Popen(
                    self.command, cwd=tmp_path, env=self.environment, stdout=log, stderr=log
                )

    worker = FromImage(tmp_path / "data")
    try:
        assert worker.start().get("/readyz").status == 200
        assert worker.stop() == 0
    finally:
        worker.kill()


def test_the_image_holds_every_package_that_runs() -> None:
    copied = set(re.findall(r"^COPY (\w+) \w+$", DOCKERFILE, re.MULTILINE))
    sent = set(re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert copied == {"app", "agents", "tables"}
    assert copied <= sent


def test_the_image_installs_pinned_requirements_and_does_not_run_as_root() -> None:
    assert "--require-hashes -r requirements/runtime.txt" in DOCKERFILE
    assert DOCKERFILE.index("\nUSER callscore\n") < DOCKERFILE.index("\nCMD ")
