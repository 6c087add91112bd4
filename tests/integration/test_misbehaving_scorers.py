"""Rule 8: no scorer can stop another. Each way to misbehave has its own end, and a failure is never a value."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.service import Service, until

PROJECT = "acme/misbehaving"
SETTINGS = {"scorer_timeout": 5}

ENDS = {
    "hangs": ("scorer_timeout", 3),
    "hangs_softly": ("scorer_timeout", 3),
    "dies": ("scorer_died", 3),
    "raises": ("LookupError", 3),
    "returns_nan": ("invalid_output", 1),
    "returns_5_mb": ("invalid_output", 1),
    "returns_a_generator": ("invalid_output", 1),
    "returns_a_number_beyond_all_bounds": ("invalid_output", 1),
    "returns_a_deep_hole": ("invalid_output", 1),
    "complains_in_no_language": ("invalid_output", 1),
    "needs_context": ("missing_input", 1),
    "reports_half_a_token": ("ValueError", 3),
    "reports_no_json": ("invalid_output", 1),
    "forges_its_report": ("invalid_report", 1),
    "forges_its_report_with_a_number": ("invalid_report", 1),
}


def scores_by_name(service: Service, project: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for score in service.items(f"/scores?project_id={project}"):
        found.setdefault(score["scorer_name"], []).append(score)
    return found


def test_each_misbehaving_scorer_fails_with_its_reason_and_no_output(shared: Service) -> None:
    project, ids = "acme/each", ["one", "two"]
    shared.log_calls(project, ids)
    request = shared.wait_finished(shared.submit(project, ids, shared.refs(*ENDS)), 120)
    assert request["status"] == "completed"
    assert request["tasks"]["failed"] == len(ids) * len(ENDS)
    found = scores_by_name(shared, project)
    ends = {
        name: {(score["status"], score["error"]["type"], score["attempts"]) for score in scores}
        for name, scores in found.items()
    }
    assert ends == {name: {("failed", error, attempts)} for name, (error, attempts) in ENDS.items()}
    assert all("output" not in score for scores in found.values() for score in scores)


def test_a_failed_scores_error_says_what_the_scorer_raised_and_where(shared: Service) -> None:
    project = "acme/raised"
    shared.log_calls(project, ["one"])
    request = shared.wait_finished(shared.submit(project, ["one"], shared.refs("raises")))
    [score] = scores_by_name(shared, project)["raises"]
    assert score["error"]["message"] == "there is no such thing"
    assert score["error"]["traceback"].startswith("Traceback (most recent call last)")
    assert "plugin_scorers.py" in score["error"]["traceback"]
    [task] = shared.items(f"/score-requests/{request['request_id']}/tasks?status=failed")
    assert (task["attempts"], task["reason"]) == (3, "LookupError")


def test_a_scorer_cannot_forge_the_lineage_that_is_not_its_own_to_report(shared: Service) -> None:
    project = "acme/lineage"
    shared.log_calls(project, ["one"])
    [ref] = shared.refs("forges_its_lineage")
    assert shared.wait_finished(shared.submit(project, ["one"], [ref]))["tasks"]["succeeded"] == 1
    [score] = scores_by_name(shared, project)["forges_its_lineage"]
    lineage = score["lineage"]
    assert (lineage["model"], lineage["scorer_kind"]) == ("m", "forges_its_lineage")
    assert ref.endswith(lineage["scorer_digest"])
    assert lineage["latency_ms"] > 0
    assert {"question", "judged_for"}.isdisjoint(lineage)


def test_other_scorers_finish_while_hung_ones_hold_on(make_service: Callable[..., Service]) -> None:
    service = make_service(scorers="tests.plugin_scorers", scorer_timeout=150).start()
    ids = [f"call-{n}" for n in range(2000)]
    service.log_calls(PROJECT, ids)
    hung = service.submit(PROJECT, ids, service.refs("hangs", "hangs_softly"))
    good = service.submit(PROJECT, ids, service.refs("not_empty", "patient"))
    small = service.submit(PROJECT, ids[:5], service.refs("in_process"))
    assert service.wait_finished(good, 100)["tasks"]["succeeded"] == 2 * len(ids)
    assert service.wait_finished(small, 30)["tasks"]["succeeded"] == 5
    counts = service.status(hung)["tasks"]
    assert counts["running"] > 0
    assert counts["succeeded"] == counts["failed"] == 0


def test_other_scorers_finish_while_hung_ones_hold_large_calls(make_service: Callable[..., Service]) -> None:
    service = make_service(scorers="tests.plugin_scorers", scorer_timeout=150).start()
    large = [{"id": f"large-{n}", "output": "x" * 900_000} for n in range(90)]
    for start in range(0, len(large), 10):
        service.log_calls(PROJECT, large[start : start + 10])
    ids = [str(call["id"]) for call in large]
    hung = service.submit(PROJECT, ids, service.refs("hangs_softly"))
    service.wait_for_tasks(hung, "running", 21)
    assert (
        service.wait_finished(service.submit(PROJECT, ids, service.refs("not_empty")), 60)["tasks"]["succeeded"] == 90
    )
    assert 20 < service.status(hung)["tasks"]["running"] < 80


def test_a_catastrophic_pattern_on_10_kb_is_scored_like_any_other(shared: Service) -> None:
    project = "acme/catastrophe"
    published = shared.post(
        "/scorers", {"name": "catastrophe", "kind": "regex", "params": {"pattern": "(a+)+$"}, "project_id": project}
    )
    assert published.status == 201, published.raw
    shared.log_calls(project, ["long"], "a" * 10_240 + "!")
    request = shared.submit(project, ["long"], [published.json["ref"], *shared.refs("not_empty")])
    assert shared.wait_finished(request)["tasks"]["succeeded"] == 2
    [score] = scores_by_name(shared, project)["catastrophe"]
    assert score["output"]["passed"] is False


def test_a_hung_scorer_does_not_outlive_a_service_that_is_killed(make_service: Callable[..., Service]) -> None:
    service = make_service(scorers="tests.plugin_scorers").start()
    service.log_calls(PROJECT, ["one"])
    request = service.submit(PROJECT, ["one"], service.refs("hangs"))
    children = until(lambda: workers_of(service.pid))
    assert service.status(request)["status"] == "running"
    service.kill()
    until(lambda: [child for child in children if Path(f"/proc/{child}").exists()], lambda left: not left, 10)


def workers_of(pid: int) -> list[str]:
    """The worker processes of a service."""
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_an_async_scorer_that_blocks_holds_up_neither_the_service_nor_later_runs(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = make_service(scorers="tests.blocking_scorers").start()
    file = tmp_path / "pid"
    service.log_calls(PROJECT, ["one"], str(file))
    blocked = service.submit(PROJECT, ["one"], service.refs("blocks"))
    pid = _read(file)
    assert service.wait_finished(service.submit(PROJECT, ["one"], service.refs("not_empty")))["tasks"]["succeeded"] == 1
    assert service.status(blocked)["tasks"]["running"] == 1
    assert service.wait_finished(blocked)["tasks"]["failed"] == 1
    assert scores_by_name(service, PROJECT)["blocks"][0]["error"]["type"] == "scorer_timeout"
    assert not Path(f"/proc/{pid}").exists()
    assert service.wait_finished(service.submit(PROJECT, ["one"], service.refs("says")))["tasks"]["succeeded"] == 1


def test_what_runs_beside_an_async_scorer_that_blocks_does_not_lose_an_attempt(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = make_service(scorers="tests.blocking_scorers").start()
    file = tmp_path / "pid"
    service.log_calls(PROJECT, ["one"], str(file))
    beside = service.submit(PROJECT, ["one"], service.refs("answers_the_second_time"))
    until(file.with_suffix(".begun").exists)
    [ref] = service.refs("blocks")
    assert service.wait_finished(service.submit(PROJECT, ["one"], [ref]))["tasks"]["failed"] == 1
    assert service.wait_finished(beside)["tasks"]["succeeded"] == 1
    assert f"{ref} did not await for 10 s, so its process is killed." in service.log()
    assert "in blocks" in service.log()


def test_what_blocks_does_not_outlive_a_service_that_is_killed(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    service = make_service(scorers="tests.blocking_scorers").start()
    file = tmp_path / "pid"
    service.log_calls(PROJECT, ["one"], str(file))
    service.submit(PROJECT, ["one"], service.refs("blocks"))
    pid = _read(file)
    service.kill()
    until(lambda: not Path(f"/proc/{pid}").exists(), seconds=5)


def _read(file: Path) -> int:
    return int(until(lambda: file.exists() and file.read_text()))


def test_kills_leave_nothing_in_the_systems_temporary_folder(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    service = make_service(scorers="tests.plugin_scorers")
    service.extra_environment = {"TMPDIR": str(temporary)}
    for turn in range(3):
        service.start()
        service.log_calls(PROJECT, [f"kill-{turn}"])
        service.wait_finished(service.submit(PROJECT, [f"kill-{turn}"], service.refs("in_process")))
        service.kill()
    assert list(temporary.iterdir()) == []
    assert len(list(service.data_dir.glob("instance-0/starts-*"))) == 1
