"""What docs/running.md says to do with the log can be done as it stands there."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.service import ROOT, Service

PROJECT = "acme/docs"
# What would run for ever is left out; the test starts the service itself.
ONLY_LOG = """set -euo pipefail
callscore() { case "$1" in up | worker) ;; *) "$PYTHON" -m app.cli "$@" ;; esac; }
"""


def blocks(section: str) -> list[str]:
    """The blocks for a shell in a section of docs/running.md."""
    text = (ROOT / "docs" / "running.md").read_text()
    [body] = re.findall(rf"^## {section}\n(.*?)(?=^## )", text, re.DOTALL | re.MULTILINE)
    return re.findall(r"```sh\n(.*?)```", body, re.DOTALL)


def run(folder: Path, service: Service, block: str) -> str:
    kept = {name: value for name, value in service.environment.items() if name != "CALLSCORE_DATA_DIR"}
    environment = {**kept, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        ["bash", "-c", ONLY_LOG + block], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def scored(service: Service) -> list[str]:
    return [score["call_id"] for score in service.items(f"/scores?project_id={PROJECT}")]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes and starts services by the name of their data directory; those that run after the test are killed."""
    made: list[Service] = []

    def start(name: str, **settings: object) -> Service:
        made.append(Service(tmp_path / name, **settings))
        return made[-1].start()

    yield start
    for service in made:
        service.kill()


def test_the_log_is_backed_up_restored_and_cut_anew_as_the_docs_say(
    tmp_path: Path, make: Callable[..., Service]
) -> None:
    service = make("data")
    calls = [f"call-{n}" for n in range(30)]
    service.log_calls(PROJECT, calls)
    service.wait_finished(service.submit(PROJECT, calls, service.refs("not_empty")))
    look, restore = blocks("Looking into the log, and backup")
    assert "score-events" in run(tmp_path, service, look)
    service.log_calls(PROJECT, ["after"])
    service.stop()

    run(tmp_path, service, restore)
    service.start()
    assert scored(service) == sorted(calls)
    assert len(service.items(f"/calls?project_id={PROJECT}")) == len(calls)
    service.stop()

    [cut] = blocks("Another number of partitions")
    run(tmp_path, service, cut)
    service = make("data-32", partitions=32)
    assert scored(service) == sorted(calls)
    service.stop()
