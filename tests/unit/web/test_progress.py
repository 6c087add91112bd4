"""How a request stands is worked out right, whatever was counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.events import RequestAccepted
from app.web.progress import TASK_STATES, describe, hold_back
from tables.progress import State

HEADER = RequestAccepted(
    request_id="r",
    project_id="acme/flow",
    scorer_refs=["a", "b"],
    calls=50,
    chunks=1,
    requested_by="ann",
    requested_at=1000.0,
)


def tasks_of(states: dict[str, int], running: int = 0) -> dict[str, int]:
    tasks: dict[str, int] = describe(HEADER, states, 0.0, running, 1010.0)["tasks"]
    return tasks


@given(
    st.lists(st.sampled_from([state.name for state in State if state is not State.QUEUED]), max_size=100),
    st.integers(0, 300),
)
def test_the_eight_states_sum_to_the_total(states: list[str], running: int) -> None:
    counts = {name: states.count(name) for name in set(states)}
    tasks = tasks_of(counts, running)
    assert sum(tasks[state] for state in TASK_STATES) == tasks["total"] == 100
    assert min(tasks.values()) >= 0
    assert tasks["reused"] <= tasks["succeeded"]
    assert tasks["running"] <= running
    for state in ("failed", "cancelled"):
        assert tasks[state] == counts.get(state.upper(), 0)


def test_what_runs_is_taken_from_queued_first_then_from_retrying() -> None:
    assert tasks_of({"SUCCEEDED": 90, "RETRYING": 4}, 3) | {"running": 3, "queued": 3, "retrying": 4} == tasks_of(
        {"SUCCEEDED": 90, "RETRYING": 4}, 3
    )
    tasks = tasks_of({"SUCCEEDED": 90, "RETRYING": 4}, 8)
    assert (tasks["running"], tasks["queued"], tasks["retrying"]) == (8, 0, 2)


def test_a_request_is_completed_when_all_its_tasks_are_terminal_failures_included() -> None:
    described = describe(HEADER, {"SUCCEEDED": 60, "REUSED": 20, "FAILED": 20}, 1040.0, 0, 2000.0)
    assert described["status"] == "completed"
    assert described["finished_at"] == "1970-01-01T00:17:20.000000Z"
    assert described["tasks"]["succeeded"] == 80
    assert described["tasks"]["reused"] == 20
    assert described["rate"] == 2.0  # 80 tasks that were run in 40 s
    assert described["eta"] is None


def test_a_request_is_cancelled_when_all_its_tasks_are_terminal_and_one_was_cancelled() -> None:
    described = describe(HEADER, {"SUCCEEDED": 40, "FAILED": 20, "CANCELLED": 40}, 1030.0, 0, 2000.0)
    assert described["status"] == "cancelled"
    assert described["rate"] == 2.0  # 60 tasks that were run in 30 s
    assert describe(HEADER, {"SUCCEEDED": 40, "CANCELLED": 40}, 1030.0, 0, 2000.0)["status"] == "running"


def test_the_rate_has_three_digits() -> None:
    described = describe(HEADER, {"SUCCEEDED": 100}, 1030.0, 0, 2000.0)
    assert described["rate"] == 3.33
    assert describe(HEADER.replace(calls=10**6), {"SUCCEEDED": 12_345_678}, 1001.0, 0, 1001.0)["rate"] == 12_300_000


def test_a_request_without_tasks_is_completed_when_it_is_made() -> None:
    described = describe(HEADER.replace(calls=0), {}, 0.0, 0, 2000.0)
    assert (described["status"], described["finished_at"]) == ("completed", described["requested_at"])
    assert set(described["tasks"].values()) == {0}


def test_a_request_under_way_says_when_it_will_be_finished() -> None:
    described = describe(HEADER, {"SUCCEEDED": 20}, 1009.0, 0, 1010.0)
    assert (described["status"], described["finished_at"], described["rate"]) == ("running", None, 2.0)
    assert described["eta"] == "1970-01-01T00:17:30.000000Z"  # the other 80 in 40 s
    for waits in ("PAUSED", "WAITING_FOR_CALL"):  # which ends when it ends, at whatever rate
        assert describe(HEADER, {"SUCCEEDED": 20, waits: 1}, 1009.0, 0, 1010.0)["eta"] is None


@pytest.mark.parametrize("now", [1000.0, 900.0, 1e9])
def test_no_clock_breaks_the_rate(now: float) -> None:
    describe(HEADER.replace(calls=10**9), {"SUCCEEDED": 1}, 1000.0, 0, now)


STORED = [state.name for state in State if state not in (State.QUEUED, State.PAUSED)]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["QUEUED", *STORED])), max_size=60))
def test_queued_and_retrying_tasks_of_paused_scorers_are_paused_and_no_others(tasks: list[tuple[bool, str]]) -> None:
    def counts(only_paused: bool) -> dict[str, int]:
        found = [state for paused, state in tasks if state != "QUEUED" and (paused or not only_paused)]
        return {state: found.count(state) for state in set(found)}

    paused = [state for is_paused, state in tasks if is_paused]
    shown = hold_back(counts(False), counts(True), len(paused))
    assert shown.get("PAUSED", 0) == sum(state in ("QUEUED", "RETRYING") for state in paused)
    assert shown.get("RETRYING", 0) == sum(state == "RETRYING" for is_paused, state in tasks if not is_paused)
    for state in STORED:
        if state != "RETRYING":
            assert shown.get(state, 0) == counts(False).get(state, 0)
