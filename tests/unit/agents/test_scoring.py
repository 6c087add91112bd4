"""What is in flight stays so until the recorder has applied what became of it, and nothing else."""

import asyncio
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agents import recorder
from agents.attempt import Attempt
from agents.chunk import Chunk
from agents.parking import Parking
from agents.scoring import MOST_TARGETS, scoring
from app import (
    cluster,
    ids,
    worker,  # noqa: F401 - it says what happens when partitions move
)
from app.events import (
    AttemptFailed,
    Error,
    OfTask,
    ProviderAsked,
    ScoreCancelled,
    ScoreEvents,
    ScoreFailed,
    ScoreRequested,
    ScoreSucceeded,
    Target,
    TaskParked,
    TasksCancelled,
    TasksReopened,
    decode_score_events,
)
from app.faust_app import app
from app.scorers import Registry, ScorerVersionUnavailable
from app.usage import Usage
from tables import calls, chunks, folds, in_flight, judgements, progress, provider_requests, scores, spending, tasks
from tables.at import At
from tables.tasks import Task, unpark

REF = "callscore:///scorer/judge:1"
KEY = ids.task_key("p", "c", REF, "")
TASK: dict[str, Any] = {"project_id": "p", "call_id": "c", "scorer_ref": REF, "targets": [Target("r", 0, 0, 0)]}


@pytest.fixture(autouse=True)
def _nothing_in_flight(bare_tables: None) -> Iterator[None]:
    yield
    in_flight.pop(KEY)
    scoring.parking.clear()


def deliver(offset: int, event: OfTask | TasksReopened) -> None:
    recorder.notify(0, folds.SCORE_EVENTS.apply(At(0, offset, 1.0), ScoreEvents(events=[event])))


def outcome() -> tuple[str, int] | None:
    """Status and round of the task's newest outcome."""
    ended = scores.ended(0, KEY)
    return None if ended is None else (ended.status, ended.round)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The events that scoring sends."""
    events: list[Any] = []

    def put(partition: int, encoded: bytes) -> None:
        events.extend(decode_score_events(ScoreEvents.join([encoded])).events)

    monkeypatch.setattr(scoring.outbox, "put", put)
    return events


def attempt_of(lost: int) -> Attempt:
    """One that has asked nobody, after `lost` requests that a kill cut off."""
    return Attempt(Registry.load().parameterless()[0], cast(calls.Row, {"call": {}, "parts": {"end": "e"}}), lost)


def failed_attempt(number: int) -> AttemptFailed:
    error = Error(type="overloaded", message="try later")
    return AttemptFailed(**TASK, attempts=number, at=number, error=error, next_at=time.time() - 1)


def start_attempt() -> in_flight.Entry:
    row = tasks.load(0, KEY)
    assert row is not None
    return in_flight.enter(unpark(0, KEY, row))


async def test_an_attempt_goes_on_when_the_failure_of_the_one_before_it_is_delivered_again() -> None:
    deliver(5, failed_attempt(1))
    entry = start_attempt()
    scoring.recovered({0})
    deliver(5, failed_attempt(1))
    assert in_flight.get(KEY) is entry


async def test_an_attempt_ends_if_its_partition_was_elsewhere_even_before_a_recovery_completed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deliver(5, failed_attempt(1))
    entry = start_attempt()
    await app.on_partitions_revoked.send(set())
    for here in ({1}, {0}):
        monkeypatch.setattr(cluster, "partitions_here", lambda here=here: here)
        await app.on_partitions_assigned.send(set())
    scoring.recovered({0})
    assert in_flight.get(KEY) is None
    assert not entry.running


async def test_a_task_that_was_resumed_twice_waits_for_its_next_attempt_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[Task] = []
    monkeypatch.setattr(scoring, "_run", ran.append)
    deliver(5, failed_attempt(1))
    row = tasks.load(0, KEY)
    assert row is not None
    scoring.start(unpark(0, KEY, row))
    deliver(6, failed_attempt(2).replace(next_at=time.time() + 60))
    scoring.start(unpark(0, KEY, row))
    assert [task.attempts for task in ran] == [1]


async def test_a_task_whose_event_another_worker_has_applied_can_start_again() -> None:
    deliver(5, failed_attempt(1))
    entry = start_attempt()
    event = failed_attempt(2)
    in_flight.mark_sent(entry, event.at)
    scoring.revoked()
    folds.SCORE_EVENTS.apply(At(0, 6, 1.0), ScoreEvents(events=[event]))  # by the other worker, which commits it
    scoring.recovered({0})
    assert (in_flight.size(), in_flight.slots()) == (0, 0)


async def test_a_partition_is_scored_only_once_it_has_applied_what_was_sent_before_it_moved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    async def flush() -> None:
        done.append("all is in the log")

    async def catch_up(_: int) -> bool:
        done.append("all that the log holds is applied")
        return False

    monkeypatch.setattr(app, "_producer", SimpleNamespace(flush=flush))
    monkeypatch.setattr(cluster, "catch_up", catch_up)
    monkeypatch.setattr(scoring.outbox, "flush", lambda: done.append("all is sent"))
    await scoring.open(0)
    assert done == ["all is sent", "all is in the log", "all that the log holds is applied"]


async def test_a_task_is_in_flight_until_what_was_said_last_of_it_is_applied() -> None:
    deliver(5, failed_attempt(1))
    entry = start_attempt()
    last = ScoreFailed(**TASK, attempts=2, parked=True, at=2.0, error=Error(type="refused", message="no"))
    in_flight.mark_sent(entry, last.at)
    deliver(5, failed_attempt(1))
    assert in_flight.get(KEY) is entry
    deliver(6, last)
    assert in_flight.get(KEY) is None


def test_what_was_spent_is_told_when_a_record_is_applied_first_and_never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    error, spent = Error(type="scorer_timeout", message="no answer"), Usage(unanswered=1)
    event = ScoreFailed(**TASK, attempts=1, at=1.0, error=error, day=0, spent=spent)
    told: list[Any] = []
    monkeypatch.setattr(scoring.room.budgets, "charge", lambda *usage: told.append(usage))
    for _ in range(2):
        deliver(5, event)
    assert told == [("p", REF, spent)]
    cost, taken = spending.keys("p", REF, 0)
    assert (spending.load(0, cost).spent, spending.load(0, taken).spent) == (Usage(), spent)


def test_what_a_scorer_cost_stays_in_a_row_that_workers_of_before_read_and_write() -> None:
    cost, taken = spending.keys("p", REF, 0)
    spending.table.write(0, [(cost, b"[3,40]")])
    error, spent = Error(type="ValueError", message="no"), Usage(requests=1, cost=2)
    event = ScoreFailed(**TASK, attempts=1, at=1.0, error=error, day=0, spent=spent)
    folds.SCORE_EVENTS.apply(At(0, 5, 1.0), ScoreEvents(events=[event]))
    assert spending.table.get_row(0, cost) == b"[5,42]"
    assert spending.load(0, taken).spent == spent
    assert spending.spent(0, [("p", REF)], 0) == [42]
    page = spending.by_day(0, [None], "p", 0, 1)
    assert [item for _, item in page["items"]] == [[REF, 0, {"cost": 42}], [REF, 0, {"requests": 1}]]


def test_a_record_with_an_output_that_no_row_can_hold_is_refused_and_changes_no_row() -> None:
    good = ScoreSucceeded(**TASK, attempts=1, at=1.0, output=1)
    huge = good.replace(call_id="d", output=2**70, lineage={"question": ids.digest("q")})
    with pytest.raises(folds.CannotApply, match="64"):
        folds.SCORE_EVENTS.apply(At(0, 5, 1.0), ScoreEvents(events=[good, huge]))
    assert [row for table in app.tables.values() for row in table.scan(0)] == []


def test_what_a_scorer_reported_as_question_in_an_earlier_version_is_no_judgement() -> None:
    reported: list[Any] = [5, None, [], "how long?", "a\0b", ids.digest("q").upper()]
    for offset, question in enumerate([*reported, ids.digest("q")]):
        event = ScoreSucceeded(**TASK, attempts=1, at=1.0, output=1, lineage={"question": question})
        folds.SCORE_EVENTS.apply(At(0, offset, 1.0), ScoreEvents(events=[event.replace(call_id=str(offset))]))
    assert [key for key, _ in judgements.table.scan(0)] == [judgements.key("p", ids.digest("q"))]


async def test_a_task_whose_process_has_other_code_waits_for_it_and_no_attempt_counts(said: list[Any]) -> None:
    for attempts in (1, 2):
        task = Task(0, KEY, "p", "c", REF, "", [Target("r", 0, 0, 0)], attempts=attempts, excused=attempts - 1)
        entry = in_flight.enter(task)
        scoring.outcomes.ended(entry, attempt_of(0), ScorerVersionUnavailable("Its source changed."), False)
        deliver(4 + attempts, said[-1])
        row = tasks.load(0, KEY)
        assert row is not None
        assert (row.status, row.reason) == ("waiting_for_call", "scorer_version_unavailable")
        assert row.attempts == row.excused == attempts
        assert row.due > time.time() + 1
    assert isinstance(said[-1], TaskParked)
    assert row is not None
    waited = unpark(0, KEY, row)
    assert waited.waits_for == "scorer_version_unavailable"
    waited.waits_for, waited.due = "waiting_for_call", time.time() - 1  # for which another time holds
    entry = in_flight.enter(waited)
    scoring.outcomes.ended(entry, attempt_of(0), ScorerVersionUnavailable("Its source changed."), False)
    assert isinstance(said[-1], TaskParked)
    assert said[-1].until > time.time() + 1
    late = unpark(0, KEY, row)
    late.due = time.time() - 1
    entry = in_flight.enter(late)
    scoring.outcomes.ended(entry, attempt_of(0), ScorerVersionUnavailable("Its source changed."), False)
    assert isinstance(said[-1], ScoreFailed)
    assert said[-1].error.type == "scorer_version_unavailable"
    assert said[-1].error.message == f"Its source changed. No worker had the code of {REF} within 600 s"


async def test_what_a_cancel_cuts_off_counts_in_the_cost_of_its_request(said: list[Any]) -> None:
    task = Task(0, KEY, "p", "c", REF, "", [], attempts=1)
    entry = in_flight.enter(task)
    entry.attempt = attempt_of(0)
    entry.withdrawn.append(Target("r", 0, 0, 0))
    entry.attempt.asked, entry.attempt.report.unanswered = True, 1
    scoring.outcomes.cancelled(entry)
    [event] = said
    deliver(5, event)
    row = progress.load(0, "r", 0, 0)
    assert row.spent is not None
    assert (row.spent.unanswered, row.get(0)) == (1, progress.State.QUEUED)  # until the cancel itself is applied


async def test_what_a_kill_cut_off_is_billed_once_though_nobody_is_asked_again(said: list[Any]) -> None:
    deliver(5, ProviderAsked(**TASK | {"targets": []}, attempts=1, at=1.0))
    row = provider_requests.load(0, KEY)
    assert row is not None
    task = Task(0, KEY, "p", "c", REF, "", [Target("r", 0, 0, 0)], attempts=1)
    entry = in_flight.enter(task)
    scoring.outcomes.ended(entry, attempt_of(row[1]), b"1", False)
    [event] = said
    assert event.spent.unanswered == 1
    deliver(6, event)
    assert provider_requests.load(0, KEY) is None


async def test_what_was_to_be_asked_and_was_not_in_the_end_is_not_taken_for_cut_off_later(said: list[Any]) -> None:
    deliver(5, ProviderAsked(**TASK | {"targets": []}, attempts=1, at=1.0))
    entry = in_flight.enter(Task(0, KEY, "p", "c", REF, "", [Target("r", 0, 0, 0)], attempts=1))
    attempt = attempt_of(0)
    attempt.asked = True
    scoring.outcomes.ended(entry, attempt, b"1", False)
    deliver(6, said[0])
    assert provider_requests.load(0, KEY) is None
    assert progress.load(0, "r", 0, 0).spent is None


async def test_what_a_kill_cut_off_counts_for_the_request_that_is_cancelled_before_the_next_attempt(
    said: list[Any],
) -> None:
    deliver(5, failed_attempt(1))
    deliver(6, ProviderAsked(**TASK | {"targets": []}, attempts=2, at=2.0))
    row = tasks.load(0, KEY)
    assert row is not None
    scoring.outcomes.withdraw_from_parked(0, KEY, row, row.targets)
    deliver(7, said[0])
    assert_counted(1)
    assert outcome() == ("cancelled", 1)


async def test_what_a_kill_cut_off_counts_also_if_no_worker_has_the_code_of_the_scorer_any_more(
    said: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(5, ProviderAsked(**TASK | {"targets": []}, attempts=1, at=1.0))
    deliver(6, ProviderAsked(**TASK | {"targets": []}, attempts=1, at=1.0))
    call = cast(calls.Row, {"call": {}, "parts": {"end": "e"}})
    monkeypatch.setattr(calls, "find_sized", lambda *_: (call, 2))
    scoring._run(Task(0, KEY, "p", "c", REF, "", [Target("r", 0, 0, 0)]))
    [event] = said
    assert isinstance(event, TaskParked)
    deliver(7, event)
    assert_counted(2)
    row = tasks.load(0, KEY)
    assert row is not None
    late = unpark(0, KEY, row)
    late.due = time.time() - 1
    scoring._run(late)
    assert isinstance(said[1], ScoreFailed)
    deliver(8, said[1])
    assert_counted(2)
    assert outcome() == ("failed", 1)


def assert_counted(unanswered: int) -> None:
    """So many requests without an answer, in the cost of the request and of the day."""
    assert provider_requests.load(0, KEY) is None
    assert progress.load(0, "r", 0, 0).spent == Usage(unanswered=unanswered)
    _, day = spending.keys("p", REF, scoring.room.budgets.day())
    assert spending.load(0, day).spent == Usage(unanswered=unanswered)


async def test_a_task_that_a_former_owner_parked_after_all_ends_as_its_score_says(said: list[Any]) -> None:
    deliver(5, failed_attempt(1))
    deliver(6, ScoreSucceeded(**TASK, attempts=1, at=2.0, output=1))
    parked = tasks.load(0, KEY)
    assert parked is not None
    scoring.start(unpark(0, KEY, parked))
    [event] = said
    assert isinstance(event, ScoreCancelled)
    deliver(7, event)
    assert tasks.load(0, KEY) is None
    assert outcome() == ("succeeded", 1)
    assert progress.load(0, "r", 0, 0).get(0) is progress.State.SUCCEEDED


async def test_a_parked_task_goes_on_in_its_round_whatever_became_of_earlier_ones_unless_nobody_wants_it_any_more(
    said: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[Task] = []
    monkeypatch.setattr(scoring, "_run", runs.append)
    deliver(5, ScoreFailed(**TASK, attempts=1, at=1.0, error=Error(type="refused", message="no")))
    deliver(6, failed_attempt(1).replace(round=2))
    parked = tasks.load(0, KEY)
    assert parked is not None
    scoring.start(unpark(0, KEY, parked))
    assert ([task.round for task in runs], said) == ([2], [])
    scoring.steering._stop_request(0, "r")
    scoring.start(unpark(0, KEY, parked))
    scoring.steering.clear()
    assert (len(runs), said) == (1, [])


async def test_a_retry_whose_clock_was_set_back_before_it_started_is_taken_up_when_it_is_due_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deliver(5, failed_attempt(1))
    row = tasks.load(0, KEY)
    assert row is not None
    due = asyncio.Event()
    monkeypatch.setattr(scoring, "parking", Parking(lambda *_: due.set()))  # it was due, and is in its lane
    monkeypatch.setattr("agents.scoring.time", SimpleNamespace(time=lambda: row.due - 1))
    scoring.start(unpark(0, KEY, row))
    assert in_flight.get(KEY) is None
    running = asyncio.create_task(scoring.parking.run())
    async with asyncio.timeout(10):
        await due.wait()
    running.cancel()


async def test_parked_tasks_may_start_as_soon_as_a_cancel_that_a_retry_follows_is_carried_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steering, targets = scoring.steering, [Target("r", 0, 0, 0)]

    async def up_to_date(*_: object) -> None:
        """Both are applied by whoever is first."""

    monkeypatch.setattr(steering, "_bring_up_to_date", up_to_date)
    monkeypatch.setattr(steering, "_withdraw_request", up_to_date)
    monkeypatch.setattr("tables.controls.last", lambda *_: 2)
    monkeypatch.setattr("tables.controls.is_cancelled", lambda *_: False)
    steering._stop_request(0, "r")  # the first control, obeyed before the second came
    await steering._carry_out(0, "r", 1, lambda: None, lambda: None)
    assert steering.not_stopped(0, targets) == targets


async def test_a_request_accepted_before_a_task_failed_shares_the_failure_and_a_later_one_runs_it_again(
    said: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked_by(request: str, requested_at: float, opened: int = 0) -> Task:
        return Task(0, KEY, "p", "c", REF, "", [Target(request, 0, 0, 0, opened)], requested_at=requested_at)

    runs: list[Task] = []
    monkeypatch.setattr(scoring, "_run", runs.append)
    failed = ScoreFailed(**TASK, attempts=2, at=5.0, error=Error(type="refused", message="no"), spent=Usage(requests=2))
    deliver(5, failed)
    scoring.start(asked_by("before", 4.0))
    assert runs == []
    deliver(6, said[0])
    deliver(6, said[0])
    shared = progress.load(0, "before", 0, 0)
    assert (shared.get(0), shared.spent, in_flight.get(KEY)) == (progress.State.FAILED, None, None)
    scoring.start(asked_by("before", 4.0))  # taken from its lane twice
    assert (len(said), runs, outcome()) == (1, [], ("failed", 1))
    scoring.start(asked_by("after", 6.0))
    where: dict[str, Any] = {"request_id": "before", "chunk": 0, "scorer": 0}
    deliver(7, TasksReopened(**where, statuses=["failed"], calls=None, control=1, at=7.0))
    scoring.start(asked_by("before", 4.0, 1))
    assert [(task.targets[0].request_id, task.round) for task in runs] == [("after", 2), ("before", 2)]


async def test_a_task_whose_scorer_has_no_room_any_more_when_it_is_its_turn_goes_back_to_its_lane(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = Task(0, KEY, "p", "c", REF, "", [Target("r", 0, 0, 0)])
    monkeypatch.setattr(scoring.catalog, "get", lambda *_: Registry.load().parameterless()[0])
    monkeypatch.setattr(scoring.room, "gate", lambda *_: None)
    scoring.start(task)
    assert in_flight.get(KEY) is None
    assert scoring.scheduler._lanes.take(lambda *_: 1) == [task]


async def test_a_task_whose_report_cannot_be_written_fails(said: list[Any]) -> None:
    entry = in_flight.enter(Task(0, KEY, "p", "c", REF, "", [Target("r", 0, 0, 0)], attempts=1))
    attempt = attempt_of(0)
    attempt.report.lineage = {"model": object()}
    scoring.outcomes.ended(entry, attempt, b"1", False)
    deliver(5, said[0])
    assert outcome() == ("failed", 1)


async def test_a_chunk_is_acknowledged_once_each_of_its_tasks_is_parked_or_has_ended() -> None:
    event = ScoreRequested(
        request_id="r", chunk=0, project_id="p", call_ids=["c", "d"], scorer_refs=[REF], requested_at=1.0
    )
    chunks.table.put_row(0, ids.chunk_key("r", 0), chunks.fold(None, event, 0).encode())
    acknowledged: list[bool] = []
    chunk = Chunk(0, event)
    chunk.when_settled.append(lambda: acknowledged.append(True))
    scoring.scheduler.open(0)
    scoring.scheduler.add(chunk)
    chunk.look(0)
    deliver(5, TaskParked(**TASK, attempts=0, at=1.0, reason="waiting_for_call", until=9e9))
    assert acknowledged == []
    deliver(6, ScoreSucceeded(**TASK | {"call_id": "d", "targets": [Target("r", 0, 0, 1)]}, at=1.0, output=1))
    assert acknowledged == [True]
    scoring.scheduler.clear()


async def test_a_request_for_a_task_whose_outcome_is_on_its_way_counts_that_too(
    said: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reused: list[Target] = []
    monkeypatch.setattr(scoring.outbox, "put_reused", lambda _, target: reused.append(target))
    entry = in_flight.enter(Task(0, KEY, "p", "c", REF, "", [Target("r", 0, 0, 0)], attempts=1))
    scoring.outcomes.ended(entry, attempt_of(0), b"1", False)
    late = Target("late", 0, 0, 0)
    scoring.start(Task(0, KEY, "p", "c", REF, "", [late]))
    deliver(5, said[0])
    assert reused == [late]


async def test_no_event_tells_an_outcome_to_more_places_than_a_record_holds() -> None:
    def asked_by(number: int) -> Task:
        return Task(0, KEY, "p", "c", REF, "", [Target(f"r{number}", 0, 0, 0)])

    task = asked_by(0)
    entry = in_flight.enter(task)
    for number in range(1, MOST_TARGETS + 5):
        scoring.start(asked_by(number))
    assert len(entry.task.targets) == MOST_TARGETS
    assert [later.targets[0].request_id for later in entry.later] == [f"r{MOST_TARGETS + n}" for n in range(5)]


async def test_a_task_runs_as_far_as_views_tell_until_its_outcome_is_in_the_tables(said: list[Any]) -> None:
    task = Task(0, KEY, "p", "c", REF, "", [Target("r", 0, 0, 0)], attempts=1)
    entry = in_flight.enter(task)
    entry.attempt = attempt_of(0)
    assert in_flight.running_by_request(0) == {"r": 1}
    scoring.outcomes.ended(entry, entry.attempt, b"1", False)
    assert in_flight.running_by_request(0) == {"r": 1}
    deliver(5, said[0])
    assert in_flight.running_by_request(0) == {}


async def test_a_score_says_of_which_call_and_what_it_is_also_if_it_was_cancelled(said: list[Any]) -> None:
    task = Task(0, KEY, "p", "c", REF, "", [Target("r", 0, 0, 0)], attempts=1)
    entry = in_flight.enter(task)
    entry.attempt = attempt_of(0)
    entry.attempt.call_row["call"]["op_name"] = "ask"
    scoring.outcomes.cancelled(entry)
    deliver(5, said[0])
    row = scores.load(0, KEY)
    assert row is not None
    assert (row["status"], row["op_name"]) == ("cancelled", "ask")
    assert row["lineage"].keys() >= {"scorer_kind", "scorer_digest", "input_digest"}


async def test_a_parked_task_that_has_as_many_places_as_fit_takes_no_more_and_the_others_follow_it(
    said: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [Target(f"r{number}", 0, 0, 0) for number in range(MOST_TARGETS)]
    await scoring.parking.load(0)
    deliver(5, TaskParked(**TASK | {"targets": places}, attempts=0, at=1.0, reason="waiting_for_call", until=9e9))
    reused: list[Target] = []
    monkeypatch.setattr(scoring.outbox, "put_reused", lambda _, target: reused.append(target))
    late = [Target("late", 0, 0, 0), Target("withdrawn", 0, 0, 0)]
    for target in late:
        scoring.start(Task(0, KEY, "p", "c", REF, "", [target]))
    assert said == []
    withdrawn = TasksCancelled(request_id="withdrawn", chunk=0, scorer=0, calls=1, control=1, at=1.5)
    recorder.notify(0, folds.SCORE_EVENTS.apply(At(0, 6, 1.0), ScoreEvents(events=[withdrawn])))
    assert len(tasks.load(0, KEY).targets) == MOST_TARGETS  # type: ignore[union-attr]
    deliver(7, ScoreSucceeded(**TASK | {"targets": places}, attempts=1, parked=True, at=2.0, output=1))
    assert reused == late[:1]
