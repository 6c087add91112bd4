"""The unmodified Weave SDK, end to end: trace, publish, evaluate, score, read back, and a kill of the service."""

import json
import subprocess
from typing import Any

import pytest

from tests.brokers import on_both_logs
from tests.service import ROOT, Service

PYTHON = ROOT / ".venv" / "weave" / "bin" / "python"

pytestmark = on_both_logs
with_sdk = pytest.mark.skipif(not PYTHON.exists(), reason="Weave's SDK is not here: make .venv/.weave")


def sdk(service: Service, what: str, project: str) -> Any:
    command = [str(PYTHON), str(ROOT / "tests" / "weave_sdk.py"), service.url, what, project]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@with_sdk
def test_the_sdk_traces_publishes_has_calls_scored_and_reads_all_of_it_back_behind_a_kill(service: Service) -> None:
    logged = sdk(service, "log", "flow")
    project, calls = logged["project"], logged["calls"]
    assert project == "me/flow"  # of nobody in particular, as there are no keys
    assert logged["submitted"] == {}
    assert "is an object whose code is not here" in logged["refused"]
    assert logged["applied"] == {"passed": True}
    assert logged["evaluated"] == {"passed": {"true_count": 2, "true_fraction": 1.0}}
    [request] = service.items(f"/score-requests?project_id={project}")
    service.wait_finished(request["request_id"])
    service.kill()
    service.start()

    found = sdk(service, "read", "flow")
    assert found["count"] == len(found["ids"]) == 8  # three of two ops each, one that failed, one of the user's scorer
    assert {*calls, logged["failed"]} < set(found["roots"]) < set(found["ids"])
    assert len(found["roots"]) == 5
    assert found["oldest"] == calls[0]
    assert found["question"] == ["QUESTION 1!"]
    assert found["children"] == ["QUESTION 0!"]
    passed = json.dumps({"output": {"passed": True}})
    ours = [("wandb.runnable.not_empty", passed), ("wandb.runnable.refusal", passed)]
    theirs = [("wandb.reaction.1", json.dumps({"emoji": "👍"})), ("wandb.runnable.LongEnough", passed)]
    said = {call: [tuple(one) for one in rows] for call, rows in found["said"].items()}
    assert said[calls[0]] == sorted(ours + theirs)
    assert [said[call] for call in calls[1:]] == [ours, ours]
    assert said[logged["failed"]] == []
    assert found["scored_by_not_empty"] == 3
    assert found["scored_by_long_enough"] == [calls[0]]
    assert found["reactions"] == 1
    assert found["words"] == 2
    assert found["source"]
    assert found["evaluated"] == {"examples": ["how", "why"], "versions": [["why", "how"], ["why", "how", "who"]]}


def test_any_number_of_large_versions_of_an_object_can_be_published(service: Service) -> None:
    digests = []
    for letter in "abcd":
        obj = {"project_id": "me/flow", "object_id": "large", "val": {"text": letter * 900_000}}
        published = service.post("/obj/create", {"obj": obj})
        assert published.status == 200, published.raw
        digests.append(published.json["digest"])
    service.kill()
    service.start()
    for digest, letter in zip(digests, "abcd", strict=True):
        asked = {"project_id": "me/flow", "object_id": "large", "digest": digest}
        assert service.post("/obj/read", asked).json["obj"]["val"]["text"][0] == letter
