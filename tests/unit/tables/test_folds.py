"""Every row is a fold of the events of one partition: what is delivered again changes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from app.events import (
    AttemptFailed,
    CallLogged,
    DeadLetter,
    Error,
    Event,
    FeedbackGiven,
    FeedbackPurged,
    LetterDismissed,
    LetterOrder,
    LetterRedriven,
    RequestAccepted,
    RequestCancelled,
    RequestClaimed,
    RequestRetried,
    ScoreCancelled,
    ScoreEvents,
    ScoreFailed,
    ScoreRequested,
    ScorerPublished,
    ScoreSucceeded,
    Target,
    TaskParked,
    TasksCancelled,
    TasksReopened,
    TaskWithdrawn,
)
from app.usage import Usage
from tables import (
    calls,
    chunks,
    claims,
    controls,
    dead_letters,
    folds,
    progress,
    requests,
    scorers,
    scores,
    tasks,
    weave,
)
from tables.at import At
from tables.progress import State

TASK: dict[str, Any] = {"project_id": "p", "call_id": "c", "scorer_ref": "s"}
TARGET = Target("r", 0, 0, 0)
ERROR = Error(type="ValueError", message="no")


def parts(content: st.SearchStrategy[str]) -> st.SearchStrategy[CallLogged]:
    return st.builds(
        lambda part, text: CallLogged(
            project_id="p", call_id="c", part=part, call={"id": "c", part: text, "attributes": None}, logged_at=1.0
        ),
        st.sampled_from(["start", "end", "complete"]),
        content,
    )


def outcomes() -> st.SearchStrategy[scores.Terminal]:
    rounds = st.integers(1, 3)
    return st.one_of(
        rounds.map(lambda n: ScoreSucceeded(**TASK, round=n, attempts=1, targets=[TARGET], at=float(n), output=n)),
        rounds.map(lambda n: ScoreFailed(**TASK, round=n, attempts=3, targets=[TARGET], at=float(n), error=ERROR)),
        rounds.map(lambda n: ScoreCancelled(**TASK, round=n, targets=[], at=float(n))),
    )


def steering() -> st.SearchStrategy[RequestCancelled | RequestRetried]:
    asked: dict[str, Any] = {"request_id": "r", "asked_by": None, "asked_at": 1.0}
    names = st.sampled_from(["1", "2", "3"])
    return st.one_of(
        names.map(lambda name: RequestCancelled(control_id=name, **asked)),
        names.map(lambda name: RequestRetried(control_id=name, statuses=["failed"], **asked)),
    )


LETTER = DeadLetter(
    topic="calls", partition=0, offset=7, key=None, value=b"x", reason="undecodable", detail="", logged_at=1.0, at=2.0
)


ORDERS: list[type[LetterOrder]] = [LetterRedriven, LetterDismissed]


def ordered(order: type[LetterOrder], who: str | None = None, at: float = 3.0) -> LetterOrder:
    return order(letter_id=dead_letters.id_of(LETTER), asked_by=who, asked_at=at)


def letters() -> st.SearchStrategy[DeadLetter | LetterOrder]:
    times = st.floats(2, 9)
    return st.one_of(
        times.map(lambda at: LETTER.replace(at=at)),
        st.builds(ordered, st.sampled_from(ORDERS), st.none(), times),
    )


def fold_all(fold: Callable[[Any, Any, int], Any], events: list[Any], row: Any = None) -> Any:
    for offset, event in enumerate(events):
        row = fold(row, event, offset)
    return row


def merge_row(row: Any, event: CallLogged, offset: int) -> Any:
    return calls.merge(row, event, offset)[0]


FOLDS = [
    pytest.param(merge_row, parts(st.sampled_from(["a", "b"])), id="calls"),
    pytest.param(scores.fold, outcomes(), id="scores"),
    pytest.param(
        scorers.fold,
        st.sampled_from(["d1", "d2"]).map(
            lambda digest: ScorerPublished(
                ref=digest, project_id=None, name="n", kind="k", params={}, digest=digest, published_at=1.0
            )
        ),
        id="scorers",
    ),
    pytest.param(
        scorers.fold_version,
        st.integers(0, 2).map(
            lambda attempts: ScorerPublished(
                ref="d",
                project_id=None,
                name="n",
                kind="k",
                params={},
                digest="d",
                policy={"attempts": attempts},
                published_at=1.0,
            )
        ),
        id="scorers-version",
    ),
    pytest.param(
        requests.fold,
        st.integers().map(
            lambda calls_: RequestAccepted(
                request_id="r",
                project_id="p",
                scorer_refs=[],
                calls=calls_,
                chunks=0,
                requested_by=None,
                requested_at=1.0,
            )
        ),
        id="requests",
    ),
    pytest.param(
        claims.fold,
        st.sampled_from(["one", "other"]).map(
            lambda body: RequestClaimed(request_id="r", body=body, scorer_refs=[], requested_by=None, requested_at=1.0)
        ),
        id="claims",
    ),
    pytest.param(controls.fold, steering(), id="controls"),
    pytest.param(dead_letters.fold, letters(), id="dead-letters"),
    pytest.param(
        weave.fold,
        st.sampled_from(["good", "bad", None]).map(
            lambda note: (
                FeedbackPurged(project_id="p", weave_ref="r", feedback_id="f", purged_by=None, purged_at=1.0)
                if note is None
                else FeedbackGiven(project_id="p", weave_ref="r", feedback_id="f", feedback={"payload": note})
            )
        ),
        id="weave",
    ),
    pytest.param(
        chunks.fold,
        st.lists(st.text(), max_size=3).map(
            lambda ids: ScoreRequested(
                request_id="r", chunk=0, project_id="p", call_ids=ids, scorer_refs=[], requested_at=1.0
            )
        ),
        id="chunks",
    ),
    pytest.param(
        tasks.park,
        st.one_of(
            st.integers(0, 3).map(
                lambda n: TaskParked(
                    **TASK, attempts=n, targets=[TARGET], at=float(n), reason="waiting_for_call", until=9.0
                )
            ),
            st.integers(1, 3).map(
                lambda n: AttemptFailed(**TASK, attempts=n, targets=[TARGET], at=float(n), error=ERROR, next_at=n + 1.0)
            ),
        ),
        id="tasks",
    ),
]


@pytest.mark.parametrize(("fold", "events"), FOLDS)
def test_redelivery_from_any_offset_on_leaves_the_row_the_same(
    fold: Callable[[Any, Any, int], Any], events: st.SearchStrategy[Any]
) -> None:
    @given(st.lists(events, min_size=1, max_size=8), st.data())
    def check(delivered: list[Any], data: st.DataObject) -> None:
        row = fold_all(fold, delivered)
        again_from = data.draw(st.integers(0, len(delivered) - 1))
        repeated = row
        for offset in range(again_from, len(delivered)):
            repeated = fold(repeated, delivered[offset], offset)
        assert repeated == row

    check()


@given(st.permutations(["start", "end"]), st.sampled_from(["start", "end", "complete"]))
def test_a_call_is_the_same_whichever_part_comes_first(order: list[Literal["start", "end"]], again: str) -> None:
    content: dict[str, dict[str, Any]] = {
        "start": {"id": "c", "inputs": {"q": 1}},
        "end": {"id": "c", "output": "o", "inputs": None},
    }
    row = None
    for offset, part in enumerate(order):
        event = CallLogged(project_id="p", call_id="c", part=part, call=content[part], logged_at=0.0)
        row, verdict = calls.merge(row, event, offset)
        assert verdict == "stored"
    assert row is not None
    assert row["call"] == {"id": "c", "inputs": {"q": 1}, "output": "o"}
    assert calls.ended(row)


def test_the_first_end_wins_and_another_one_is_a_rewrite() -> None:
    def end(output: str) -> CallLogged:
        return CallLogged(project_id="p", call_id="c", part="end", call={"output": output}, logged_at=0.0)

    row, _ = calls.merge(None, end("first"), 0)
    assert calls.merge(row, end("first"), 1) == (row, "unchanged")
    assert calls.merge(row, end("second"), 2) == (row, "call_rewritten")


def logged(part: Literal["start", "end", "complete"], call: dict[str, Any]) -> CallLogged:
    return CallLogged(project_id="p", call_id="c", part=part, call={"id": "c", **call}, logged_at=0.0)


START = {"inputs": {"q": 1}, "attributes": {}, "parent_id": None, "wb_user_id": "ann"}
END = {"output": {"b": 1, "a": [True]}, "exception": None}
WHOLE = START | END


@pytest.mark.parametrize(
    ("first", "again"),
    [
        ([logged("start", START), logged("end", END)], logged("complete", WHOLE)),
        ([logged("end", END), logged("start", START)], logged("complete", {"output": {"a": [True], "b": 1}})),
        ([logged("start", START), logged("end", END)], logged("start", {"inputs": {"q": 1}, "wb_user_id": "bob"})),
        ([logged("complete", WHOLE)], logged("end", END)),
        ([logged("complete", WHOLE)], logged("end", {"output": END["output"]})),
        ([logged("end", {"output": "x"})], logged("end", {"output": "x", "exception": None})),
        ([logged("end", {"exception": "no"})], logged("end", {"exception": "no", "output": None})),
    ],
)
def test_a_part_that_comes_again_in_another_form_and_says_nothing_new_changes_nothing(
    first: list[CallLogged], again: CallLogged
) -> None:
    row = fold_all(merge_row, first)
    assert calls.merge(row, again, 9) == (row, "unchanged")


@pytest.mark.parametrize(
    "again",
    [
        logged("complete", WHOLE | {"inputs": {"q": True}}),
        logged("complete", WHOLE | {"inputs": {"q": 1.5}}),
        logged("complete", WHOLE | {"thread_id": "new"}),
        logged("end", END | {"output": None}),
        logged("end", END | {"exception": "no"}),
        logged("start", START | {"parent_id": "other"}),
    ],
)
def test_a_part_that_says_anything_else_is_a_rewrite_in_whatever_form(again: CallLogged) -> None:
    row = fold_all(merge_row, [logged("start", START), logged("end", END)])
    assert calls.merge(row, again, 9) == (row, "call_rewritten")


def test_a_call_whose_parts_together_are_too_large_is_refused() -> None:
    half = "x" * (calls.MAX_CALL_BYTES // 2 + 1)
    start = CallLogged(project_id="p", call_id="c", part="start", call={"inputs": half}, logged_at=0.0)
    end = CallLogged(project_id="p", call_id="c", part="end", call={"output": half}, logged_at=0.0)
    row, verdict = calls.merge(None, start, 0)
    assert verdict == "stored"
    assert calls.merge(row, end, 1) == (row, "call_too_large")


@given(st.lists(outcomes(), min_size=1, max_size=8))
def test_the_first_terminal_event_of_each_round_wins(events: list[scores.Terminal]) -> None:
    row = fold_all(scores.fold, events)
    expected: dict[int, str] = {}
    reached = 0
    for event in events:
        if event.round > reached:
            reached = event.round
            expected[event.round] = type(event).__name__.removeprefix("Score").lower()
    assert {number: scores.outcome_of(row, number)["status"] for number in expected} == expected


@pytest.mark.parametrize("later", ORDERS)
def test_a_letter_is_redriven_by_the_first_order_only(later: type[LetterOrder]) -> None:
    first, other = ordered(LetterRedriven, "ann"), ordered(later, "bob")
    row = fold_all(dead_letters.fold, [first, LETTER, first, other, LETTER])
    assert (row.letter, row.redriven, row.redriven_offset) == (LETTER, first, 2)
    assert row.dismissed is UNSET


@pytest.mark.parametrize("later", ORDERS)
def test_a_letter_is_dismissed_by_the_first_order_only(later: type[LetterOrder]) -> None:
    first, other = ordered(LetterDismissed, "ann"), ordered(later, "bob")
    row = fold_all(dead_letters.fold, [first, LETTER, first, other, LETTER])
    assert (row.letter, row.dismissed) == (LETTER, first)
    assert (row.redriven, row.redriven_offset) == (None, None)


def test_the_row_of_a_letter_that_nobody_dismissed_is_as_it_was_before_any_could_be() -> None:
    row = fold_all(dead_letters.fold, [LETTER, ordered(LetterRedriven)])
    assert row.as_dict().keys() == {"offset", "letter", "project_id", "redriven", "redriven_offset"}


def test_a_failed_row_has_no_output() -> None:
    failed = scores.fold(None, ScoreFailed(**TASK, targets=[], at=1.0, error=ERROR), 0)
    assert "output" not in failed
    assert failed["error"] == {"type": "ValueError", "message": "no"}


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(list(State)[1:])), max_size=40))
def test_a_terminal_state_stays_and_what_leaves_the_queue_is_counted_once(changes: list[tuple[int, State]]) -> None:
    row = progress.Row()
    left_queue = 0
    first_terminal: dict[int, State] = {}
    for call, state in changes:
        left_queue += row.set([call], state, 1.0)
        if state in progress.TERMINAL:
            first_terminal.setdefault(call, state)
    assert {call: State(row.get(call)) for call in first_terminal} == first_terminal
    assert left_queue == sum(state != State.QUEUED for state in row.states)
    assert progress.decode(row.encode()) == row


CONTROLS = st.one_of(
    st.just("cancel"),
    st.just("reopen"),
    st.just("again"),
    st.tuples(st.integers(0, 9), st.sampled_from([State.RETRYING, State.SUCCEEDED, State.FAILED]), st.integers(0, 2)),
)


@given(st.lists(CONTROLS, max_size=30), st.data())
def test_what_comes_from_before_a_retry_changes_nothing_after_it(changes: list[Any], data: st.DataObject) -> None:
    """Against a plain model of one call: (state, how often it was opened), for each of ten."""
    row = progress.Row()
    model = [(State.QUEUED, 0)] * 10
    for number, change in enumerate(changes, 1):
        if change == "again":  # a control that was applied comes at another position: it is known by its number
            before = progress.decode(row.encode())
            row.cancel(10, data.draw(st.integers(0, row.control)), 1.0)
            row.reopen(None, [State.FAILED, State.CANCELLED], data.draw(st.integers(0, row.control)))
            assert row == before
        elif change == "cancel":
            row.cancel(10, number, 1.0)
            model = [(s if s in progress.TERMINAL else State.CANCELLED, n) for s, n in model]
        elif change == "reopen":
            row.reopen(None, [State.FAILED, State.CANCELLED], number)
            model = [(State.QUEUED, n + 1) if s in (State.FAILED, State.CANCELLED) else (s, n) for s, n in model]
        else:
            call, state, opened = change
            if row.wants(call, opened):
                row.set([call], state, 1.0)
            if model[call][1] == opened and model[call][0] not in progress.TERMINAL:
                model[call] = (state, opened)
    assert [(row.get(call), row.opened(call)) for call in range(10)] == [(s, n % 16) for s, n in model]
    assert progress.decode(row.encode()) == row
    assert row.queued(10) == sum(s is State.QUEUED for s, _ in model)


WAITED = AttemptFailed(**TASK, targets=[TARGET], attempts=1, at=1.0, error=ERROR, next_at=2.0)
ENDED: dict[str, Any] = {**TASK, "attempts": 2, "at": 5.0, "parked": True}
OTHER = Target("other", 0, 0, 0)
OF_CHUNK: dict[str, Any] = {"chunk": 0, "scorer": 0, "control": 1, "at": 3.0}


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(
            [
                WAITED,
                TasksReopened(request_id="r", statuses=["failed"], calls=None, **OF_CHUNK),
                ScoreFailed(**ENDED, targets=[TARGET], error=ERROR),
            ],
            id="retried",
        ),
        pytest.param(
            [
                WAITED.replace(targets=[TARGET, OTHER]),
                TasksCancelled(request_id="other", calls=1, **OF_CHUNK),
                TaskWithdrawn(**TASK, targets=[OTHER], attempts=1, at=4.0, parked=True),
                ScoreSucceeded(**ENDED, targets=[TARGET], output=1),
            ],
            id="cancelled",
        ),
    ],
)
@pytest.mark.usefixtures("bare_tables")
def test_progress_that_was_behind_the_scores_becomes_what_it_would_have_been(events: list[Any]) -> None:
    def deliver() -> Any:
        for offset, event in enumerate(events):
            folds.SCORE_EVENTS.apply(At(0, offset, 1.0), ScoreEvents(events=[event]))
        return list(progress.table.scan(0)), list(tasks.table.scan(0))

    expected = deliver()
    progress.table.write(0, [(key, None) for key, _ in expected[0]])  # its changelog had less than that of the scores
    assert deliver() == expected
    assert expected[1] == []


def test_a_task_waits_as_its_last_event_says_whatever_the_clock_of_its_worker() -> None:
    def parked(reason: Any, attempts: int, at: float) -> TaskParked:
        return TaskParked(**TASK, targets=[TARGET], attempts=attempts, at=at, reason=reason, until=at + 600)

    later = [parked("waiting_for_call", 1, 100.0), parked("scorer_version_unavailable", 1, 90.0)]
    row = fold_all(tasks.park, [*later, parked("waiting_for_call", 0, 110.0)])
    assert (row.reason, row.since, row.due) == ("scorer_version_unavailable", 90.0, 690.0)


def test_a_task_is_resumed_with_the_time_that_it_had_left_and_all_that_its_attempts_told() -> None:
    waiting = TaskParked(**TASK, targets=[TARGET], attempts=1, at=1.0, reason="waiting_for_call", until=9.0, excused=1)
    task = tasks.unpark(3, b"key", tasks.park(None, waiting, 5))
    assert (task.partition, task.key, task.parked) == (3, b"key", True)
    assert (task.due, task.waits_for, task.attempts, task.excused) == (9.0, "waiting_for_call", 1, 1)
    told: dict[str, Any] = {"excused": 2, "trying_since": 1.0, "failing_since": 2.0}
    failed = WAITED.replace(**told, attempts=3, earlier=Usage(requests=1), spent=Usage(requests=2, cost=7))
    task = tasks.unpark(3, b"key", tasks.park(None, failed, 6))
    assert (task.due, task.waits_for, task.attempts) == (None, None, 3)
    assert {name: getattr(task, name) for name in told} == told
    assert task.earlier == Usage(requests=3, cost=7)


def test_counts_of_a_row_leave_out_what_is_queued() -> None:
    row = progress.Row()
    row.set([0, 1], State.SUCCEEDED, 5.0)
    row.set([3], State.RETRYING, 6.0)
    assert row.counts() == {State.SUCCEEDED: 2, State.RETRYING: 1}


LATER = [
    b'{"v": 2, "type": "ScoreEvents", "events": {"a": 1}}',
    b'{"v": 1, "type": "ScoreEvents", "events": [{"v": 2, "type": "ScoreDoubted"}]}',
    b'{"type": "ScoreEvents", "events": [], "v": 99}',
]
BROKEN = [
    b"",
    b"\xff",
    b"null",
    b'{"v": 1, "type": "ScoreEvents", "events": [1]}',
    b'{"events": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"v": 1, "type": "Unheard"}',
]


@pytest.mark.parametrize(
    ("value", "reason"), [(v, "unknown_version") for v in LATER] + [(v, "undecodable") for v in BROKEN]
)
def test_a_record_that_cannot_be_read_says_whether_a_later_version_wrote_it(value: bytes, reason: str) -> None:
    with pytest.raises(folds.CannotApply) as refused:
        folds.SCORE_EVENTS.decode(value)
    assert refused.value.reason == reason


PARKED = TaskParked(**TASK, targets=[TARGET], at=1.0, reason="waiting_for_call", until=1.0)
REQUESTED = ScoreRequested(request_id="r", chunk=0, project_id="p", call_ids=["c"], scorer_refs=["s"], requested_at=1.0)


@pytest.mark.parametrize(
    ("fold", "event"),
    [
        *((folds.SCORE_EVENTS, PARKED.replace(**{name: "a\0b"})) for name in (*TASK, "occasion")),
        (folds.SCORE_EVENTS, PARKED.replace(targets=[TARGET._replace(request_id="a\0b")])),
        (folds.SCORE_REQUESTS, REQUESTED.replace(call_ids=["c", "a\0b"])),
        (folds.SCORE_REQUESTS, REQUESTED.replace(scorer_refs=["a\0b"])),
    ],
)
def test_a_name_that_would_split_a_key_elsewhere_is_refused(fold: folds.Fold[Any, Any], event: Event) -> None:
    value = ScoreEvents.join([event.encode()]) if fold is folds.SCORE_EVENTS else event.encode()
    with pytest.raises(folds.CannotApply, match=r"U\+0000") as refused:
        fold.decode(value)
    assert refused.value.reason == "undecodable"


def test_what_a_scorer_returned_may_contain_any_character() -> None:
    event = ScoreSucceeded(**TASK, targets=[TARGET], at=1.0, output="a\0b", op_name="a\0b")
    assert folds.SCORE_EVENTS.decode(ScoreEvents.join([event.encode()])).events == [event]


def test_a_scorer_that_is_nested_too_deeply_to_be_read_again_is_refused_however_deep_it_is(table_dir: Path) -> None:
    event = ScorerPublished(
        ref="r", project_id=None, name="n", kind="k", params={"x": []}, digest="d", published_at=1.0
    )
    for levels in (200, *range(900, 1000)):  # at some of which Python's own limit is near
        value = event.encode().replace(b"[]", b"[" * levels + b"]" * levels)
        with pytest.raises(folds.CannotApply):
            folds.SCORERS.apply(At(0, 0, 1.0), folds.SCORERS.decode(value))
