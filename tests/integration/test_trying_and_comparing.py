"""A scorer can be tried before it is paid for often, and two can be compared, by view and by command."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.judging import LABEL, NUMBER, PROJECT, Judging, judged, log_outputs, publish, scores
from tests.service import Service, until


def command(service: Service, *args: str) -> subprocess.CompletedProcess[str]:
    callscore = Path(sys.executable).parent / "callscore"
    given = [str(callscore), *args, "--project", PROJECT, "--url", service.url]
    return subprocess.run(given, capture_output=True, text=True, timeout=60, check=False)


def test_a_scorer_is_run_once_on_a_call_and_nothing_is_recorded(judging: Judging) -> None:
    service, judge = judging.start(), judging.judge
    good, bad, _ = log_outputs(service, ["You are kind.", "TRICK chats", "unseen"])
    ref = publish(service)
    body = {"project_id": PROJECT, "scorer_ref": ref, "call_id": good}
    tried = service.post("/scorers/try", body).json
    assert (tried["status"], tried["scorer_ref"]) == ("succeeded", ref)
    assert 0 <= tried["output"]["score"] <= 10
    assert tried["lineage"]["model"] == "judge-1"
    assert tried["lineage"]["cost"]["requests"] == len(judge.bodies) == 1
    failed = service.post("/scorers/try", body | {"call_id": bad}).json
    assert (failed["status"], failed["error"]["type"]) == ("failed", "judgement_unreadable")
    assert "nothing makes me say more" in failed["error"]["raw"]
    unpublished = {"project_id": PROJECT, "call_id": good, "kind": "contains", "params": {"text": "kind"}}
    assert service.post("/scorers/try", unpublished).json["output"]["passed"] is True
    for name in ("refusal", "patient"):  # inline, and async
        found = service.post("/scorers/try", body | {"scorer_ref": service.refs(name)[0]}).json
        assert found["status"] == "succeeded", found
    assert scores(service) == service.items(f"/score-requests?project_id={PROJECT}") == []
    # What is wrong with it is said.
    assert service.post("/scorers/try", body | {"call_id": "nobody"}).status == 404
    assert service.post("/scorers/try", body | {"scorer_ref": "callscore:///scorer/nobody:latest"}).status == 422
    assert service.post("/scorers/try", body | {"kind": "contains"}).status == 422
    # By command: what it says, and whether it was well.
    done = command(service, "scorers", "try", "polite", "--call", good)
    assert (done.returncode, done.stdout.startswith("succeeded: ")) == (0, True), done
    assert "No score was stored" in done.stderr
    done = command(service, "scorers", "try", "polite", "--call", bad)
    assert done.returncode == 1
    assert "judgement_unreadable" in done.stdout
    assert "nothing makes me say more" in done.stdout


def test_a_call_that_no_task_would_run_a_scorer_on_is_not_tried_either(make_service: Callable[..., Service]) -> None:
    service = make_service().start()
    service.log_calls(PROJECT, [{"id": "broken", "exception": "no", "output": None}])
    [ref] = service.refs("not_empty")
    service.wait_finished(service.submit(PROJECT, ["broken"], [ref]))
    [score] = service.items(f"/scores?project_id={PROJECT}")
    body = {"project_id": PROJECT, "call_id": "broken", "scorer_ref": ref}
    tried = service.post("/scorers/try", body).json
    assert (tried["status"], tried["error"]) == ("failed", score["error"] | {"retryable": False})
    assert score["error"]["type"] == "call_has_no_output"
    assert tried["lineage"]["cost"] is None


def test_a_scorer_that_has_spent_its_cap_is_not_tried_and_whoever_asks_is_told_until_when(judging: Judging) -> None:
    begins = (datetime.now(UTC) + timedelta(hours=12)).replace(second=0, microsecond=0)
    service, judge = judging.start(day_start=f"{begins:%H:%M}"), judging.judge
    ref = publish(service, policy={"usd_per_day": 1e-9})
    body = {"project_id": PROJECT, "scorer_ref": ref, "call_id": "call-00000"}
    log_outputs(service, ["one"])
    assert service.post("/scorers/try", body).json["status"] == "succeeded"  # which no cap counts
    judged(service, ["one"], ref, prefix="more")
    asked = len(judge.bodies)
    refused = service.post("/scorers/try", body)
    [detail] = refused.json["detail"]
    assert (refused.status, detail["type"], detail["loc"]) == (409, "spend_cap_reached", ["body", "scorer_ref"])
    assert "1e-09 USD" in detail["msg"]
    assert f"{begins:%Y-%m-%dT%H:%M:%S}" in detail["msg"]
    done = command(service, "scorers", "try", "polite", "--call", "call-00000")
    assert done.returncode != 0
    assert "are spent" in done.stderr
    assert len(judge.bodies) == asked
    publish(service, policy={"usd_per_day": 1})
    assert service.post("/scorers/try", body).json["status"] == "succeeded"


CODE = """from app.scorers import Scorer
class Version(Scorer):
    number: int
    def score(self, *, output: str) -> dict:
        return {"version": %d}
"""


def test_a_version_whose_code_has_changed_is_not_tried_with_the_code_there_is(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    module = tmp_path / "versions.py"
    module.write_text(CODE % 1)
    service = make_service(scorers="versions", call_wait=600)
    service.extra_environment = {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    service.start()
    body = {"name": "versioned", "kind": "Version", "params": {"number": 1}, "project_id": PROJECT}
    ref = service.post("/scorers", body).json["ref"]
    [call] = log_outputs(service, ["text"])
    trial = {"project_id": PROJECT, "call_id": call, "scorer_ref": ref}
    tried = service.post("/scorers/try", trial).json
    assert tried["status"] == "succeeded", tried
    assert (tried["output"], tried["saved_since"]) == ({"version": 1}, False)
    # Saved while the service runs: no process that is started from now on has the code of the ref.
    module.write_text(CODE % 2)
    assert service.post("/scorers/try", trial).json["saved_since"] is True
    done = command(service, "scorers", "try", ref, "--call", call)
    assert done.stderr.endswith("To run the new code, restart the service.\n"), done.stderr
    for child in Path(f"/proc/{service.pid}/task/{service.pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
    request = service.submit(PROJECT, [call], [ref])
    service.wait_for_tasks(request, "waiting_for_call")
    [task] = service.items(f"/score-requests/{request}/tasks")
    assert (task["status"], task["reason"]) == ("waiting_for_call", "scorer_version_unavailable")
    service.stop()
    service.start()
    refused = service.post("/scorers/try", trial)
    assert refused.status == 422
    assert refused.json["detail"][0]["type"] == "scorer_version_unavailable"
    elsewhere = f"weave:///acme/other/object/versioned:{ref.rpartition(':')[2]}"
    assert service.post("/scorers/try", trial | {"scorer_ref": elsewhere}).status == 422
    module.write_text(CODE % 1)
    service.stop()
    service.start()
    assert service.wait_finished(request)["tasks"]["succeeded"] == 1


def test_two_scorers_are_compared_on_the_calls_that_both_have_scored(judging: Judging) -> None:
    service = judging.start()
    one, same = publish(service, "one"), publish(service, "same")
    label, longer = publish(service, "label", LABEL), publish(service, "lengthy", NUMBER, prompt="{output}")
    outputs = ["word " * n for n in range(30)]
    judged(service, outputs, one, same, label, longer)
    service.wait_finished(service.submit(PROJECT, log_outputs(service, ["x"], "only"), [one]))
    found = json.loads(command(service, "scorers", "compare", "one", "same", "--json").stdout)
    assert (found["calls"], found["pearson"], found["disagreements"]) == (30, 1.0, [])
    found = json.loads(command(service, "scorers", "compare", "one", longer, "--json", "--limit", "3").stdout)
    assert found["calls"] == 30
    assert len(found["disagreements"]) == 3
    found = json.loads(command(service, "scorers", "compare", "label", "label", "--json").stdout)
    assert (found["agreement"], found["kappa"]) == (1.0, 1.0)
    shown = command(service, "scorers", "compare", "label", "label").stdout
    assert "They agree on 100.0%" in shown
    assert all(name in shown for name in LABEL["labels"])
    service.wait_finished(service.submit(PROJECT, [f"call-{n:05d}" for n in range(30)], service.refs("not_empty")))
    shown = command(service, "scorers", "compare", "not_empty", "one").stdout
    assert [line.split()[:2] for line in shown.splitlines()[2:5]] == [
        ["PASSED", "not_empty"],
        ["yes", "29"],
        ["no", "1"],
    ]
    shown = command(service, "scorers", "compare", "label", "not_empty").stdout
    assert shown.startswith("30 calls were scored by both; compared: whether calls passed.\n")
    done = command(service, "scorers", "compare", "one", "refusal")
    assert done.returncode == 1
    assert "No call" in done.stderr


def test_what_a_scorer_said_is_found_by_its_name_when_its_code_is_gone(make_service: Callable[..., Service]) -> None:
    service = make_service(scorers="tests.plugin_scorers").start()
    [call] = log_outputs(service, ["text"])
    refs = service.refs("in_process")
    service.wait_finished(service.submit(PROJECT, [call], refs))
    service.submit(PROJECT, ["late"], refs)
    service.stop()
    without = service.another(scorers="").start()
    assert "in_process" not in [scorer["name"] for scorer in without.items("/scorers")]
    shown = command(without, "scores", "--scorer", "in_process", "--json")
    assert json.loads(shown.stdout)["output"] == {"reversed": "txet"}
    assert command(without, "submit", "--scorer", "in_process").returncode == 2
    without.log_calls(PROJECT, ["late"], "text")
    asked = f"project_id={PROJECT}&scorer_ref={refs[0]}"
    gaps = until(lambda: without.items(f"/scores/gaps?{asked}&reason=scorer_version_unavailable"))
    assert [gap["call_id"] for gap in gaps] == ["late"]
    assert without.get(f"/scores/gaps/summary?{asked}").json["scored"] == 1
    never = f"project_id={PROJECT}&scorer_ref={refs[0][:-1]}"
    assert without.get(f"/scores/gaps?{never}").json["detail"][0]["type"] == "scorer_ref_not_found"
