"""compose.yaml and Dockerfile run what the tests run, as far as that can be told without Docker's engine."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema_rs import Draft7Validator

from app.settings import PREFIX, Settings
from kafka import jars
from tests.service import ROOT, Service

TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def schema_errors(compose: Any) -> list[str]:
    """What the Compose Specification's JSON schema finds wrong."""
    schema = json.loads((ROOT / "tests/compose_spec/compose-spec.json").read_text())
    return [f"{list(error.instance_path)}: {error.message}" for error in Draft7Validator(schema).iter_errors(compose)]


def test_compose_yaml_is_valid() -> None:
    assert schema_errors(COMPOSE) == []
    named = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert named == COMPOSE["volumes"].keys()
    assert {other for service in SERVICES.values() for other in service.get("depends_on", {})} <= SERVICES.keys()
    docker = shutil.which("docker")
    if docker and not subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        command = [docker, "compose", "--file", "compose.yaml", "config", "--quiet"]
        environment = os.environ | {f"{PREFIX}CLUSTER_SECRET": "secret"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("service", "name", "value"),
    [("worker", "enviroment", {}), ("worker", "ports", 6066), ("kafka", "healthcheck", {"interval": ["15s"]})],
)
def test_a_mistake_in_compose_yaml_is_found(service: str, name: str, value: object) -> None:
    mistaken = COMPOSE | {"services": SERVICES | {service: SERVICES[service] | {name: value}}}
    assert len(schema_errors(mistaken)) == 1


def test_compose_runs_the_kafka_that_the_tests_run() -> None:
    assert re.findall(r"apache/kafka:(\S+)", TEXT) == [jars.version()]


def test_every_variable_that_compose_sets_is_a_setting() -> None:
    names = set(re.findall(rf"{PREFIX}(\w+)", TEXT))
    assert names <= {name.upper() for name in Settings.model_fields}


def test_providers_scorers_and_caps_can_be_set_and_are_unset_by_default() -> None:
    given = SERVICES["worker"]["environment"]
    for name in ("PROVIDERS", "SCORERS", "SCORER_USD_PER_DAY", "DAY_START"):
        assert given.get(f"{PREFIX}{name}", "missing") is None


def test_compose_leaves_the_images_start_command_as_it_is() -> None:
    assert not {"command", "entrypoint"} & SERVICES["worker"].keys()


def test_the_images_start_command_is_the_one_that_the_tests_run() -> None:
    (command,) = re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)
    program, *arguments = Service.command
    assert json.loads(command) == [Path(program).name, *arguments]


def test_the_image_holds_every_package_that_runs() -> None:
    copied = set(re.findall(r"^COPY (\w+) \w+$", DOCKERFILE, re.MULTILINE))
    sent = set(re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert copied == {"app", "agents", "tables"}
    assert copied <= sent


def test_the_image_installs_pinned_requirements_and_does_not_run_as_root() -> None:
    assert "--require-hashes -r requirements/runtime.txt" in DOCKERFILE
    assert DOCKERFILE.index("\nUSER callscore\n") < DOCKERFILE.index("\nCMD ")
