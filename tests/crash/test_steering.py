"""Whatever is asked of requests in whatever order, with kills between, each says what a plain model of it says."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.brokers import Broker, on_both_logs
from tests.command import verified
from tests.service import Service, attempts

pytestmark = on_both_logs

SEQUENCES = int(os.environ.get("CALLSCORE_TEST_SEQUENCES", "12"))
STEPS = 15
KILLS = [0, 0, 1, 1, 1, 2]  # how many kills a sequence may have: one takes longer than all other steps together
CALLS = ("a", "b", "c")
OCCASIONS = ("", "again")
TERMINAL = ("succeeded", "failed", "cancelled")


@dataclass
class Task:
    """A call on an occasion: how its rounds ended, and who wants the round that is open."""

    ended: list[str] = field(default_factory=list)
    wanted_by: list[str] = field(default_factory=list)

    def last(self, status: str) -> int | None:
        """The newest round that ended so."""
        return next((at for at in range(len(self.ended), 0, -1) if self.ended[at - 1] == status), None)


@dataclass
class Request:
    """What a request says of each of its calls: `open` or how it ended; and which needed no run."""

    occasion: str
    states: dict[str, str]
    reused: set[str] = field(default_factory=set)

    @property
    def finished(self) -> bool:
        return "open" not in self.states.values()

    @property
    def status(self) -> str:
        return "running" if not self.finished else "cancelled" if "cancelled" in self.states.values() else "completed"


class Model:
    """What callscore is to say, without a log, a table, or anything that runs at the same time as something else."""

    def __init__(self) -> None:
        self.gates = dict.fromkeys(CALLS, "wait")
        self.logged: set[str] = set()
        self.tasks = {(call, occasion): Task() for call in CALLS for occasion in OCCASIONS}
        self.requests: dict[str, Request] = {}
        self.outcomes: dict[str, list[str]] = {call: [] for call in CALLS}  # of all occasions, in order of time

    def submit(self, request_id: str, calls: list[str], occasion: str) -> None:
        self.requests[request_id] = Request(occasion, dict.fromkeys(calls, "open"))
        for call in dict.fromkeys(calls):
            self._want(request_id, call)

    def cancel(self, request_id: str) -> None:
        request = self.requests[request_id]
        for call, state in request.states.items():
            if state == "open":
                task = self.tasks[call, request.occasion]
                request.states[call] = "cancelled"
                task.wanted_by.remove(request_id)
                if not task.wanted_by:
                    self._end(call, request.occasion, "cancelled")

    def retry(self, request_id: str, statuses: list[str]) -> None:
        request = self.requests[request_id]
        for call, state in request.states.items():
            if state in statuses:
                request.states[call] = "open"
                self._want(request_id, call)

    def say(self, call: str, says: str) -> None:
        self.gates[call] = says
        self._let_go(call)

    def log(self, call: str) -> None:
        self.logged.add(call)
        self._let_go(call)

    def _want(self, request_id: str, call: str) -> None:
        request = self.requests[request_id]
        task = self.tasks[call, request.occasion]
        if not task.wanted_by and "succeeded" in task.ended:
            request.states[call] = "succeeded"
            request.reused.add(call)
        else:
            task.wanted_by.append(request_id)
            self._let_go(call)

    def _let_go(self, call: str) -> None:
        if call not in self.logged or self.gates[call] == "wait":
            return
        for occasion in OCCASIONS:
            if self.tasks[call, occasion].wanted_by:
                self._end(call, occasion, "failed" if self.gates[call] == "bad" else "succeeded")

    def _end(self, call: str, occasion: str, status: str) -> None:
        task = self.tasks[call, occasion]
        for request_id in task.wanted_by:
            self.requests[request_id].states[call] = status
        task.wanted_by = []
        task.ended.append(status)
        self.outcomes[call].append(status)

    # --- what it says ---

    def request(self, request_id: str) -> dict[str, Any]:
        request = self.requests[request_id]
        tasks = dict.fromkeys(("queued", "waiting_for_call", "running", "retrying", "paused", *TERMINAL), 0)
        listed = {}
        for call, state in request.states.items():
            task = self.tasks[call, request.occasion]
            shown = state if state != "open" else "running" if call in self.logged else "waiting_for_call"
            tasks[shown] += 1
            listed[call] = shown, (len(task.ended) + 1 if state == "open" else task.last(state) or 1)
        counts = {"total": len(request.states), **tasks, "reused": len(request.reused)}
        return {"status": request.status, "tasks": counts, "listed": listed}

    def scores(self) -> dict[str, tuple[str, int]]:
        """Of each call that has one: the status of the score that is shown, and its revision."""
        shown = {}
        for call, outcomes in self.outcomes.items():
            if outcomes:
                good = [at for at, status in enumerate(outcomes, 1) if status == "succeeded"]
                revision = good[-1] if good else len(outcomes)
                shown[call] = outcomes[revision - 1], revision
        return shown


class World:
    """The service under test: one for all sequences, each of which has a project of its own."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service
        self.folder = folder
        self.sequences = 0
        self.kills = 0
        [self.ref] = service.refs("gated")


class Steering(RuleBasedStateMachine):
    """Drives a service and the model with the same steps; both are compared after each."""

    world: World
    requests: Bundle[str] = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        world = self.world
        world.sequences += 1
        self.service = world.service
        self.project = f"acme/sequence-{world.sequences}"
        self.model = Model()
        self.kills_left = 0
        self.sent: dict[str, tuple[list[str], str, str]] = {}  # key → calls, occasion, request id
        for call in CALLS:
            self._gate(call).write_text("wait")

    def _gate(self, call: str) -> Path:
        return self.world.folder / f"{self.world.sequences}-{call}"

    def _post(self, calls: list[str], occasion: str, key: str) -> Any:
        body = {"project_id": self.project, "call_ids": calls, "scorer_refs": [self.world.ref]}
        headers = {"Idempotency-Key": key} | ({"Callscore-Rescore": occasion} if occasion else {})
        return self.service.post("/calls/score", body, **headers)

    @rule(
        target=requests,
        calls=st.lists(st.sampled_from(CALLS), min_size=1, max_size=3),
        occasion=st.sampled_from(OCCASIONS),
    )
    def submit(self, calls: list[str], occasion: str) -> str:
        key = f"key {len(self.sent)}"
        answer = self._post(calls, occasion, key)
        assert answer.status == 200, answer.raw
        request_id = str(answer.headers["Location"]).rsplit("/", 1)[1]
        assert request_id not in self.model.requests
        self.sent[key] = calls, occasion, request_id
        self.model.submit(request_id, calls, occasion)
        return request_id

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def submit_again(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.sent)))
        calls, occasion, request_id = self.sent[key]
        assert str(self._post(calls, occasion, key).headers["Location"]).endswith(f"/{request_id}")
        assert self._post([*calls, "other"], occasion, key).status == 422

    @rule(request_id=requests)
    def cancel(self, request_id: str) -> None:
        answer = self.service.post(f"/score-requests/{request_id}/cancel", {})
        if self.model.requests[request_id].finished:
            assert answer.status == 409
            assert answer.json["detail"][0]["type"] == f"request_{self.model.requests[request_id].status}"
        else:
            assert answer.status in (200, 202)
            self.model.cancel(request_id)

    @rule(request_id=requests, statuses=st.sampled_from([["failed"], ["cancelled"], ["failed", "cancelled"]]))
    def retry(self, request_id: str, statuses: list[str]) -> None:
        answer = self.service.post(f"/score-requests/{request_id}/retry", {"statuses": statuses})
        assert answer.status in (200, 202), answer.raw
        self.model.retry(request_id, statuses)

    @rule(call=st.sampled_from(CALLS), says=st.sampled_from(["good", "bad", "wait"]))
    def say(self, call: str, says: str) -> None:
        # A new file in its place, so that nobody ever reads half of one.
        draft = self._gate(call).with_suffix(".new")
        draft.write_text(says)
        draft.replace(self._gate(call))
        self.model.say(call, says)

    @rule(call=st.sampled_from(CALLS))
    def log(self, call: str) -> None:
        self.service.log_calls(self.project, [call], str(self._gate(call)))
        self.model.log(call)

    @initialize(kills=st.sampled_from(KILLS))
    def may_be_killed(self, kills: int) -> None:
        self.kills_left = kills

    @precondition(lambda self: self.kills_left)
    @rule()
    def kill_and_restart(self) -> None:
        self.kills_left -= 1
        self.world.kills += 1
        self.service.kill()
        self.service.start()

    @invariant()
    def says_what_the_model_says(self) -> None:
        expected = {request_id: self.model.request(request_id) for request_id in self.model.requests}
        scores = self.model.scores()
        for _ in attempts(30):
            found = {request_id: self._request(request_id) for request_id in expected}
            shown = {
                score["call_id"]: (score["status"], score["revision"])
                for score in self.service.items(f"/scores?project_id={self.project}")
            }
            if found == expected and shown == scores:
                return
        assert found == expected, self.service.log()
        assert shown == scores, self.service.log()

    def _request(self, request_id: str) -> dict[str, Any]:
        request = self.service.status(request_id)
        tasks = self.service.items(f"/score-requests/{request_id}/tasks")
        listed = {task["call_id"]: (task["status"], task["round"]) for task in tasks}
        return {"status": request["status"], "tasks": request["tasks"], "listed": listed}

    def teardown(self) -> None:
        """Leave nothing that runs."""
        for call in CALLS:
            self._gate(call).write_text("good")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, broker: Broker) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("steering")
    waits: dict[str, object] = {"call_wait": 3600, "scorer_timeout": 3600}
    options = waits | {"scorers": "tests.gated_scorers", "scorer_attempts": 1}
    service = Service(folder / "data", **options, **broker.settings())
    try:
        yield World(service.start(), folder)
    finally:
        service.kill()


def test_any_sequence_of_submit_cancel_retry_rescore_kill_and_restart_ends_as_the_model_says(world: World) -> None:
    Steering.world = world
    chosen = settings(
        max_examples=SEQUENCES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # a failure names its steps; trying them again would not shrink what kills did
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Steering, settings=chosen)
    verified(world.service)
    print(f"{world.sequences} sequences, {world.kills} kills")
