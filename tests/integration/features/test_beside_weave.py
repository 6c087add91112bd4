"""Beside a Weave, which is another service here: its calls are pulled and scored, the scores are pushed to it."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

from app.client.weave import pull, push
from tests.brokers import embedded_only
from tests.integration.features.test_weave_sdk import PYTHON, sdk, with_sdk
from tests.service import ROOT, Service, complete_call, until

PROJECT = "me/beside"


def weave(service: Service, *args: str) -> subprocess.Popen[str]:
    """`callscore weave` for a service."""
    environment = service.environment | {"CALLSCORE_URL": service.url, "WANDB_API_KEY": "any-key"}
    command = [sys.executable, "-m", "app.cli", "weave", *args, "--project", PROJECT]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(service: Service, *args: str) -> Any:
    out, err = (process := weave(service, *args, "--json")).communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


def feedback_in(service: Service) -> list[Any]:
    rows: list[Any] = service.post("/feedback/query", {"project_id": PROJECT}).json["result"]
    return rows


@embedded_only
@with_sdk
def test_calls_of_the_sdk_are_pulled_and_scored_and_it_reads_the_scores_in_weave(
    make_service: Callable[..., Service],
) -> None:
    theirs, ours = make_service().start(), make_service().start()
    traced = sdk(theirs, "trace", PROJECT.partition("/")[2])
    late = {"id": "late", "project_id": PROJECT, "trace_id": "t", "op_name": "op", "inputs": {}, "attributes": {}}
    start = {**late, "started_at": "2026-01-01T00:00:00Z"}
    assert theirs.post(f"/v2/{PROJECT}/call/start", {"start": start}).status == 200
    source = ("--from", theirs.url)
    assert run(ours, "pull", *source)["pulled"] == len(traced) == 6
    end = {"id": "late", "project_id": PROJECT, "ended_at": "2026-01-02T00:00:00Z", "output": "done", "summary": {}}
    assert theirs.post(f"/v2/{PROJECT}/call/end", {"end": end}).status == 200
    assert run(ours, "pull", *source)["pulled"] == 1
    assert run(ours, "pull", *source)["pulled"] == 0
    pulled = {call["id"]: call for call in ours.items(f"/calls?project_id={PROJECT}")}
    assert set(pulled) == {*traced, "late"}
    for call in theirs.items(f"/calls?project_id={PROJECT}"):
        names = ("op_name", "inputs", "output", "trace_id", "parent_id", "started_at", "ended_at")
        assert {name: pulled[call["id"]].get(name) for name in names} == {name: call.get(name) for name in names}

    [refusal] = ours.refs("refusal")
    assert ours.wait_finished(ours.submit(PROJECT, list(pulled), [refusal]))["status"] == "completed"
    assert run(ours, "push", "--to", theirs.url)["pushed"] == 7
    assert run(ours, "push", "--to", theirs.url)["pushed"] == 0
    again = ours.submit(PROJECT, ["late"], [refusal], **{"Callscore-Rescore": "again"})
    assert ours.wait_finished(again)["status"] == "completed"
    assert run(ours, "push", "--to", theirs.url)["pushed"] == 1
    read = sdk(theirs, "feedback", PROJECT.partition("/")[2])
    passed = ["wandb.runnable.refusal", {"output": {"passed": True}}]
    assert read["feedback"] == {call_id: [passed] for call_id in pulled}
    assert sorted(read["scored_by_name"]) == sorted(read["scored_by_ref"]) == sorted(pulled)
    assert read["scorer"] == refusal


@embedded_only
def test_a_pull_and_a_push_that_are_killed_lose_nothing_and_write_nothing_twice(
    make_service: Callable[..., Service],
) -> None:
    theirs, ours = make_service().start(), make_service().start()
    calls = [f"c{number:04}" for number in range(1_200)]  # more than one page of ids
    batch = [complete_call(PROJECT, {"id": call_id, "output": "yes"}) for call_id in calls]
    assert theirs.post(f"/v2/{PROJECT}/calls/complete", {"batch": batch}).status == 200
    process = weave(ours, "pull", "--from", theirs.url, "--follow")
    until(lambda: ours.get(f"/calls?project_id={PROJECT}&limit=1").json["items"], seconds=60)
    process.kill()
    process.communicate()
    run(ours, "pull", "--from", theirs.url)
    assert [call["id"] for call in ours.items(f"/calls?project_id={PROJECT}&ids_only=true")] == calls
    assert ours.items("/dead-letters") == []

    assert ours.wait_finished(ours.submit(PROJECT, calls, ours.refs("refusal")))["status"] == "completed"
    process = weave(ours, "push", "--to", theirs.url, "--follow")
    until(lambda: feedback_in(theirs), seconds=60)
    process.kill()
    process.communicate()
    run(ours, "push", "--to", theirs.url)
    about = Counter(row["weave_ref"] for row in feedback_in(theirs))
    assert about == Counter(f"weave:///{PROJECT}/call/{call_id}" for call_id in calls)


@with_sdk
def test_what_is_sent_to_weave_has_the_types_of_weaves_own_client() -> None:
    score = {"project_id": "a/b", "call_id": "c1", "scorer_ref": "r", "revision": 1, "output": {"passed": True}}
    bodies = {
        "/calls/stream_query": [pull.ids_query("a/b", pull.FIRST, "c1", 1_000), pull.whole_query("a/b", ["c1"], ["x"])],
        "/feedback/query": [push.feedback_query("a/b", ["weave:///a/b/call/c1"])],
        "/feedback/batch/create": [{"batch": [push.feedback("a/b", score, "weave:///a/b/object/refusal:d")]}],
        "/feedback/purge": [push.purge("a/b", ids) for ids in (["f1"], ["f1", "f2"])],
        "/obj/create": [{"obj": push.scorer_object("a/b", "refusal", "callscore:///scorer/refusal:d")}],
        "/obj/read": [push.object_key("a/b", "refusal")],
    }
    command = [str(PYTHON), str(ROOT / "tests" / "weave_bodies.py")]
    checked = subprocess.run(command, input=json.dumps(bodies), capture_output=True, text=True, timeout=120)
    assert (checked.returncode, checked.stdout) == (0, "[]\n"), checked.stderr
