"""Logs that released versions wrote, and what they answered: every later version must read them.

`python -m tests.released` writes those of this version, to be kept; do it before the version is released.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from app.upkeep import export_file
from tests.command import done, log
from tests.judge import KEY, Judge
from tests.service import ROOT, Service, complete_call, until

PROJECT = "acme/released"
FOLDER = Path(__file__).parent
PARTITIONS = 2
SETTINGS: dict[str, object] = {
    "partitions": PARTITIONS,
    "scorers": "tests.plugin_scorers",
    "scorer_attempts": 2,
    "scorer_backoff": 0.01,
}
CALLS = ("one", "two", "three")


def folder_of_this_version() -> Path:
    return FOLDER / version("callscore")


def write(directory: Path, data_dir: Path) -> None:
    """Have a service do everything that leaves events, and keep its log and its answers in `directory`."""
    directory.mkdir(parents=True)
    judge = Judge().start()
    service = Service(data_dir, **SETTINGS, providers=judge.file(data_dir.with_suffix(".toml")))
    service.extra_environment = {"JUDGE_KEY": KEY}
    try:
        service.start()
        fill(service)
        kept = answers(service)
    finally:
        service.stop()
        judge.stop()
    said = json.dumps(kept, indent=1, sort_keys=True)
    (directory / "answers.json").write_text(said.replace(f"{ROOT}/", "") + "\n")
    exported = data_dir.with_suffix(".jsonl")
    done(log(service, "export", str(exported)))
    with export_file.reading(exported) as export, export_file.writing(directory / "log.jsonl") as file:
        writer = export_file.Writer(file, export.header)
        for record in export.records():  # tracebacks name this folder
            writer.record(record._replace(value=(record.value or b"").replace(f"{ROOT}/".encode(), b"")))
        writer.finish()


def fill(service: Service) -> None:
    """Leave an event of every type in the log, and nothing that is owed."""
    service.log_calls(PROJECT, [{"id": call_id, "output": f"output {call_id}"} for call_id in CALLS])
    service.log_calls(PROJECT, ["one"], "another")
    _log_in_parts(service, "parts")
    body = {"name": "has_o", "kind": "contains", "params": {"text": "o"}, "project_id": PROJECT}
    ref = service.post("/scorers", body).json["ref"]
    judge = {
        "provider": "local",
        "model": "judge-1",
        "prompt": "Is this polite? {output}",
        "scale": {"type": "boolean"},
    }
    body = {"name": "polite", "kind": "llm_judge", "params": judge, "project_id": PROJECT}
    polite = service.post("/scorers", body).json["ref"]
    fine, raises, hangs = service.refs("not_empty", "raises", "hangs_softly")

    service.wait_finished(service.submit(PROJECT, [*CALLS, "parts"], [fine, ref], **{"Idempotency-Key": "key"}))
    service.wait_finished(service.submit(PROJECT, [*CALLS], [fine]))  # reused
    service.wait_finished(service.submit(PROJECT, [*CALLS], [polite]))
    failed = service.submit(PROJECT, [*CALLS], [raises])
    service.wait_finished(failed)
    service.post(f"/score-requests/{failed}/retry", {})
    service.wait_finished(failed)
    service.wait_finished(service.submit(PROJECT, ["one"], [fine, raises], **{"Callscore-Rescore": "again"}))
    stopped = service.submit(PROJECT, [*CALLS], [hangs])
    service.wait_for_tasks(stopped, "running", len(CALLS))
    service.post(f"/score-requests/{stopped}/cancel", {})
    service.wait_finished(stopped)

    late = [service.submit(PROJECT, ["late"], [fine]) for _ in range(2)]
    for request in late:
        service.wait_for_tasks(request, "waiting_for_call")
    service.post(f"/score-requests/{late[0]}/cancel", {})
    service.wait_finished(late[0])
    service.log_calls(PROJECT, ["late"], "late")
    service.wait_finished(late[1])
    _say_as_weave_does(service)
    _have_a_rule_score(service, fine)

    until(lambda: service.post("/dead-letters/redrive", {"reason": "call_rewritten"}).json.get("redriven"))
    until(lambda: len(service.items("/dead-letters")), lambda number: number == 2)
    assert service.post("/dead-letters/dismiss", {}).json["dismissed"] == 1


def _log_in_parts(service: Service, call_id: str) -> None:
    call = complete_call(PROJECT, {"id": call_id, "output": "whole"})
    start = {name: call[name] for name in ("project_id", "id", "trace_id", "op_name", "started_at", "inputs")}
    end = {name: call[name] for name in ("project_id", "id", "ended_at", "output", "summary", "started_at")}
    for part, body in (("start", start | {"attributes": {}}), ("end", end)):
        assert service.post(f"/v2/{PROJECT}/call/{part}", {part: body}).status == 200


def _have_a_rule_score(service: Service, ref: str) -> None:
    rule = {
        "name": "half",
        "project_id": PROJECT,
        "scorer_refs": [ref],
        "where": {"op_name": "ask"},
        "sample_rate": 0.5,
    }
    rule_id = service.post("/rules", rule).json["rule_id"]
    service.log_calls(PROJECT, [{"id": f"ruled-{n}", "output": "x", "op_name": "ask"} for n in range(8)])

    def decided() -> tuple[Any, int]:
        scores = service.items(f"/scores?project_id={PROJECT}&op_name=ask&status=succeeded")
        return service.get(f"/rules/{rule_id}").json["calls"], len(scores)

    until(decided, lambda found: found[0]["matched"] == 8 and found[0]["sampled"] == found[1])
    assert service.post(f"/rules/{rule_id}/pause", {}).status == 200


def _say_as_weave_does(service: Service) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="project_id"\r\n\r\n' + PROJECT.encode() + b"\r\n"
    form += b'--x\r\nContent-Disposition: form-data; name="file"; filename="obj.py"\r\n\r\nx = 1\r\n--x--\r\n'
    assert service.post("/file/create", form, **{"Content-Type": "multipart/form-data; boundary=x"}).status == 200
    for name, note in (("kept", "good"), ("purged", "bad")):
        said = {"project_id": PROJECT, "weave_ref": f"weave:///{PROJECT}/call/one", "feedback_type": "wandb.note.1"}
        assert service.post("/feedback/create", {**said, "id": name, "payload": {"note": note}}).status == 200
    purged = {"$expr": {"$eq": [{"$getField": "id"}, {"$literal": "purged"}]}}
    assert service.post("/feedback/purge", {"project_id": PROJECT, "query": purged}).status == 200


def answers(service: Service) -> dict[str, Any]:
    """What the views say about the project, but for what depends on the moment or on who is asked."""
    project = urlencode({"project_id": PROJECT})
    requests = service.items(f"/score-requests?{project}")
    tasks = [task for request in requests for task in service.items(f"/score-requests/{request['request_id']}/tasks")]
    scores = service.items(f"/scores?{project}")
    rules = service.items(f"/rules?{project}")
    pairs = [urlencode({"call_id": score["call_id"], "scorer_ref": score["scorer_ref"]}) for score in scores]
    for one in (*requests, *tasks):
        for name in ("rate", "eta", "worker"):
            one.pop(name, None)
    return {
        "calls": service.items(f"/calls?{project}"),
        "scorers": [found for found in service.items(f"/scorers?{project}") if found["project_id"] == PROJECT],
        "rules": rules,
        "decisions": [service.items(f"/rules/{rule['rule_id']}/calls") for rule in rules],
        "requests": requests,
        "tasks": tasks,
        "scores": scores,
        "feedback": service.post("/feedback/query", {"project_id": PROJECT}).json["result"],
        "histories": [service.items(f"/scores/history?{project}&{pair}") for pair in pairs],
    }


def load(directory: Path, data_dir: Path) -> Service:
    """A service on the log that is kept in a folder; not started."""
    service = Service(data_dir, **SETTINGS)
    done(log(service, "import", str(directory / "log.jsonl")))
    return service
