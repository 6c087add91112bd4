"""A query gives each row that it asks for once, in its order, however small the pages are in which it is read."""

import random
from collections.abc import Callable
from itertools import groupby, product
from typing import Any, Literal

import pytest

from app import ids
from app.events import (
    CallLogged,
    DeadLetter,
    Error,
    RequestAccepted,
    RequestCancelled,
    RuleBatch,
    RuleSet,
    ScoreCancelled,
    ScoreEvents,
    ScoreFailed,
    ScoreRequested,
    ScoreSucceeded,
    Target,
    TaskParked,
)
from app.usage import Usage
from tables import (
    calls,
    chunks,
    controls,
    dead_letters,
    folds,
    history,
    paging,
    progress,
    request_progress,
    requests,
    rules,
    scores,
    spending,
)
from tables.at import At
from tables.paging import Page
from tables.progress import State
from tests.unit.rule_sets import rule_set

S, T = "callscore:///scorer/s:1", "callscore:///scorer/t:1"
SIZES = (1, 2, 3, 100)  # of pages


@pytest.fixture(autouse=True)
def _large_pages(bare_tables: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "SLICE_SECONDS", 60.0)  # so that each page is as large as it may be


def read(page: Callable[[Any], Page], size: int) -> list[Any]:
    """All items, from pages that are full but for the last one."""
    items: list[Any] = []
    after: str | None = None
    while True:
        found = page(after)
        assert len(found["items"]) <= size
        items += [item for _, item in found["items"]]
        if (after := found["next"]) is None:
            return items
        assert len(found["items"]) == size


def chunk(request_id: str, number: int, call_ids: list[str], *scorer_refs: str) -> ScoreRequested:
    return ScoreRequested(
        request_id=request_id,
        chunk=number,
        project_id="p",
        call_ids=call_ids,
        scorer_refs=list(scorer_refs),
        requested_at=1.0,
    )


def test_every_chunk_that_names_a_scorer_and_a_call_is_found_whatever_its_other_calls_are() -> None:
    there = [
        chunk("r1", 0, ["c", "a"], S, T),
        chunk("r1", 1, ["m"], S),
        chunk("r1", 2, [], S),
        chunk("r2", 0, ["k", "z", "b"], S),
        chunk("r3", 0, ["b"], T),
    ]
    for offset, event in enumerate(there):
        folds.SCORE_REQUESTS.apply(At(0, offset, 1.0), event)
    for ref, call in product((S, T), "abckmxz"):
        named = [row for row in chunks.naming(0, "p", ref, call, call) if row is not None and call in row.call_ids]
        expected = [one for one in there if ref in one.scorer_refs and call in one.call_ids]
        assert [(row.request_id, row.chunk) for row in named] == [(one.request_id, one.chunk) for one in expected]
    assert [row and row.request_id for row in chunks.naming(0, "p", S, "d", "j")] == [None, None, "r2"]
    assert [row and row.request_id for row in chunks.naming(0, "p", S, "c", "m")] == ["r1", "r1", "r2"]
    assert [[row.chunk for row in chunks.of_request(0, "r1", first)] for first in range(4)] == [
        [0, 1, 2],
        [1, 2],
        [2],
        [],
    ]
    assert (chunks.is_named(0, "p", T), chunks.is_named(0, "p", "other"), chunks.is_named(0, "q", S)) == (
        True,
        False,
        False,
    )


def test_requests_are_listed_newest_first_by_project_and_those_of_a_rule_apart() -> None:
    def accept(name: str, project: str, at: float, rule_id: str | None = None) -> RequestAccepted:
        accepted = RequestAccepted(
            request_id=name,
            project_id=project,
            scorer_refs=[],
            calls=1,
            chunks=1,
            requested_by=None,
            requested_at=at,
            rule_id=rule_id,
        )
        folds.SCORE_REQUESTS.apply(At(0, int(at * 10), at), accepted)
        return accepted

    projects = ["a/x", "a/y", "b/x"]
    clients = [accept(f"{9 - n}-id", projects[n % 3], 1.5 + n // 2) for n in range(8)]  # two at each time
    ruled = [accept(f"rule-{n}", "a/x", 3.0 + n, "rule") for n in range(3)]
    accept("other", "a/x", 4.0, "rule2")
    newest_first = sorted(clients, key=lambda one: (one.requested_at, one.request_id), reverse=True)
    for size, project, globs in product(SIZES, (None, *projects), (["*"], ["a/*"], ["b/*", "a/y"], [])):

        def page(before: str | None, size: int = size, project: Any = project, globs: Any = globs) -> Page:
            return requests.page(0, before, size, project, globs)

        allowed = {("*",): projects, ("a/*",): projects[:2], ("b/*", "a/y"): projects[1:], (): []}[tuple(globs)]
        expected = [one for one in newest_first if one.project_id in allowed and project in (None, one.project_id)]
        assert [item["request_id"] for item in read(page, size)] == [one.request_id for one in expected]
    for size in SIZES:
        found = read(lambda before, size=size: requests.page(0, before, size, None, ["*"], "rule"), size)  # type: ignore[misc]
        assert [item["request_id"] for item in found] == [one.request_id for one in reversed(ruled)]


OUTCOMES = {"succeeded": ScoreSucceeded, "failed": ScoreFailed, "cancelled": ScoreCancelled}


def score_at_random(chance: random.Random) -> list[dict[str, Any]]:
    """Outcomes of tasks in the order of the log; each time is in the log's order or not."""
    ends: list[dict[str, Any]] = []
    for call, ref, occasion in product("abcd", (S, T), ("", "again", "more")):
        for number in range(1, chance.randrange(4)):
            status = chance.choice(["succeeded", "failed", "cancelled"])
            ends.append({"call": call, "ref": ref, "occasion": occasion, "round": number, "status": status})
            if status == "succeeded":
                break
    by_round = sorted(ends, key=lambda end: (end["round"], chance.random()))
    for offset, end in enumerate(by_round):
        end |= {
            "offset": offset,
            "at": float(end["round"] * 100 + chance.randrange(3)),
            "op": chance.choice(["o", "u"]),
        }
        what: dict[str, Any] = {"error": Error(type="E", message="")} if end["status"] == "failed" else {}
        what |= {"output": offset} if end["status"] == "succeeded" else {}
        event = OUTCOMES[end["status"]](
            project_id="p",
            call_id=end["call"],
            scorer_ref=end["ref"],
            occasion=end["occasion"],
            round=end["round"],
            attempts=1,
            targets=[],
            at=end["at"],
            op_name=end["op"],
            **what,
        )
        folds.SCORE_EVENTS.apply(At(0, offset, 1000.0 + offset), ScoreEvents(events=[event]))
    return by_round


def shown_by_the_rule(ends: list[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    """Of each call × scorer the newest that succeeded, else the newest of its occasions' last rounds; its revision."""
    found = []
    for _, group in groupby(
        sorted(ends, key=lambda end: (end["call"], end["ref"])), lambda end: (end["call"], end["ref"])
    ):
        of_pair = sorted(group, key=lambda end: (end["at"], end["offset"]))
        last = [
            end
            for end in of_pair
            if end["round"] == max(e["round"] for e in of_pair if e["occasion"] == end["occasion"])
        ]
        shown = ([end for end in last if end["status"] == "succeeded"] or last)[-1]
        found.append((shown, of_pair.index(shown) + 1))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_of_each_call_and_scorer_the_newest_success_is_shown_else_the_newest_outcome_as_of_any_time(seed: int) -> None:
    ends = score_at_random(random.Random(seed))
    asked = product((None, "a", "c"), (None, T), (None, "failed", "succeeded"), (None, "o"))
    for as_of, (call, ref, status, op) in product((None, 999.0, 1000.0 + len(ends) // 2, 9e9), list(asked)):
        known = [end for end in ends if as_of is None or 1000.0 + end["offset"] <= as_of]
        expected = [
            (end["call"], end["ref"], end["occasion"], revision, end["status"], end["offset"])
            for end, revision in shown_by_the_rule(known)
            if call in (None, end["call"]) and ref in (None, end["ref"])
            if status in (None, end["status"]) and op in (None, end["op"])
        ]
        filters: scores.Filters = {"call_id": call, "scorer_ref": ref, "status": status, "op_name": op, "as_of": as_of}
        for size in (2, 100):
            items = read(lambda after, size=size, of=filters: scores.page(0, after, size, "p", of), size)  # type: ignore[misc]
            assert [
                (one["call_id"], one["scorer_ref"], one["occasion"], one["revision"], row["status"], row["offset"])
                for one in items
                for row in [one["row"]]
            ] == expected


def test_summaries_have_the_outcome_that_is_shown_of_each_call_without_cancelled_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = score_at_random(random.Random(7))
    expected = [
        [end["ref"], end["op"], end["status"] == "succeeded", end["offset"] if end["status"] == "succeeded" else "E"]
        for end, _ in shown_by_the_rule(ends)
        if end["status"] != "cancelled"
    ]
    for size, group_by in product(SIZES, (None, "op_name", "attributes.model")):
        monkeypatch.setattr(scores, "_OUTCOMES", size)
        found = read(lambda after, by=group_by: scores.outcomes(0, [after], "p", {}, by), size)  # type: ignore[misc]
        assert found == [[ref, op if group_by == "op_name" else None, *rest] for ref, op, *rest in expected]
    assert scores.outcomes(0, [False], "p", {}, None) == {"items": [], "next": None}


def test_spending_by_day_has_the_days_that_begin_from_the_first_until_before_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    days = [0, 86_400, 2 * 86_400, 3 * 86_400]
    for offset, (ref, day) in enumerate(product((S, T), days)):
        spent = Usage(requests=2, input_tokens=offset, cost=100 + offset)
        event = ScoreSucceeded(
            project_id="p", call_id="c", scorer_ref=ref, targets=[], at=1.0, output=1, spent=spent, day=day
        )
        folds.SCORE_EVENTS.apply(At(0, offset, 1.0), ScoreEvents(events=[event]))
    for size in SIZES:
        monkeypatch.setattr(spending, "_ROWS", size)
        found = read(lambda after: spending.by_day(0, [after], "p", days[1], days[3]), size)
        sums: dict[tuple[str, int], Usage] = {}
        for ref, day, amounts in found:
            sums[ref, day] = sums.get((ref, day), Usage()) + Usage(**amounts)
        assert sums == {
            (ref, day): Usage(requests=2, input_tokens=offset, cost=100 + offset)
            for offset, (ref, day) in enumerate(product((S, T), days))
            if day in days[1:3]
        }
    assert spending.by_day(0, [False], "p", days[1], days[3]) == {"items": [], "next": None}


def rule(name: str, project_id: str = "p", at: float = 1.0, **fields: Any) -> RuleSet:
    named = {"rule_id": f"{project_id}/{name}", "project_id": project_id, "name": name}
    return rule_set(control_id=f"{name}-{at}", asked_at=at, **named, **fields)


def test_the_calls_that_a_rule_matched_are_listed_by_what_it_decided_and_each_of_its_requests_counts_its_own() -> None:
    for number, (request_id, call_ids, sampled_out) in enumerate(
        [("one", ["a", "d"], ["b"]), ("two", ["c"], ["e", "f"]), ("other", ["a"], [])]
    ):
        decided = RuleBatch(
            rule_id="r/other" if request_id == "other" else "r", set_at=0.0, sampled_out=sampled_out, open_until=9.0
        )
        event = chunk(request_id, number, call_ids, S).replace(rule=decided)
        folds.SCORE_REQUESTS.apply(At(0, number, 1.0), event)
    wanted: dict[rules.Decision | None, list[str]] = {
        None: ["a", "b", "c", "d", "e", "f"],
        "sampled": ["a", "c", "d"],
        "sampled_out": ["b", "e", "f"],
    }
    for size, (decision, call_ids) in product(SIZES, wanted.items()):
        found = read(lambda after, of=decision, rows=size: rules.page(0, after, rows, "r", of), size)  # type: ignore[misc]
        assert [item["call_id"] for item in found] == call_ids
        assert all((item["request_id"] is None) == (item["decision"] == "sampled_out") for item in found)
    controls.save(0, RequestCancelled(control_id="c", request_id="two", asked_by=None, asked_at=2.0), 9)
    assert rules.calls_of(0, ["two", "one", "none"]) == [(1, True), (2, False), (0, False)]


def test_rules_are_listed_by_project_or_pattern_as_they_are_now_without_removed_ones() -> None:
    asked = [
        rule("all"),
        rule("all", at=5.0, sample_rate=0.1),
        rule("gone"),
        rule("gone", at=5.0, status="removed"),
        rule("all", "q"),
        rule("all", "acme/q"),
    ]
    for offset, event in enumerate(asked):
        folds.CONTROLS.apply(At(0, offset, 1.0), event)
    [found] = rules.listing(0, "p", [])
    assert (found["name"], found["sample_rate"], found["created_at"], found["asked_at"]) == ("all", 0.1, 1.0, 5.0)
    assert found["counts"]["matched"] == 0
    assert rules.find(0, "p/all") == found
    removed = rules.find(0, "p/gone")
    assert removed is not None
    assert removed["status"] == "removed"
    assert rules.find(0, "none") is None
    listed = [one["project_id"] for one in rules.listing(0, None, ["acme/*", "p"])]
    assert sorted(listed) == ["acme/q", "p"]
    assert rules.number(0, "p") == 2


def test_dead_letters_are_listed_newest_first_in_the_bounds_that_are_given() -> None:
    letters = [
        DeadLetter(
            topic=("calls", "scorers")[n % 2],
            partition=0,
            offset=n,
            key=None,
            value=b'{"project_id": "%s"}' % (b"p", b"q", b"p")[n % 3],
            reason=("undecodable", "call_rewritten")[n // 3 % 2],
            detail="",
            logged_at=None if n == 5 else float(n),
            at=float(n),
        )
        for n in range(9)
    ]
    for offset, letter in enumerate(letters):
        folds.DEAD_LETTERS.apply(At(0, offset, 9.0), letter)
    asked = product((None, "p"), (None, "calls"), (None, "undecodable"), (None, 3.0), (None, 6.0))
    for size, (project_id, topic, reason, since, until) in product(SIZES, list(asked)):
        filters: dead_letters.Filters = {
            "project_id": project_id,
            "topic": topic,
            "reason": reason,
            "since": since,
            "until": until,
            "redriven": False,
            "dismissed": False,
        }
        found = read(lambda before, size=size, of=filters: dead_letters.page(0, before, size, of), size)  # type: ignore[misc]
        assert [letter["offset"] for letter in found] == [
            n
            for n in reversed(range(9))
            if project_id is None or n % 3 != 1
            if topic is None or n % 2 == 0
            if reason is None or n // 3 % 2 == 0
            if (since is None or n >= since) and (until is None or n <= until)
        ]


TASKS = {("r1", 0): ["a", "b"], ("r1", 3): ["c"], ("r2", 0): ["a"]}
STATES = {("r1", 0, 0): [State.SUCCEEDED, State.FAILED], ("r1", 3, 1): [State.REUSED], ("r2", 0, 0): [State.CANCELLED]}


def request() -> None:
    for offset, ((request_id, number), call_ids) in enumerate(TASKS.items()):
        folds.SCORE_REQUESTS.apply(At(0, offset, 1.0), chunk(request_id, number, call_ids, S, T))
    for where, states in STATES.items():
        row = progress.Row(spent=Usage(requests=1))
        for call, state in enumerate(states):
            row.set([call], state, 5.0 + call)
        progress.table.write(0, progress.encode_all({where: row}, 1))


def test_every_task_of_a_request_is_listed_once_with_its_state() -> None:
    request()
    expected = [
        ("a", S, "succeeded"),
        ("b", S, "failed"),
        ("a", T, "queued"),
        ("b", T, "queued"),
        ("c", S, "queued"),
        ("c", T, "succeeded"),
    ]
    for size, status in product(SIZES, (None, "queued", "succeeded", "paused")):

        def page(after: str | None, size: int = size, status: str | None = status) -> Page:
            return request_progress.task_page(0, after, size, "r1", status)

        tasks = [(task["call_id"], task["scorer_ref"], task["status"]) for task in read(page, size)]
        assert tasks == [task for task in expected if status in (None, task[2])]


@pytest.mark.parametrize("seconds", [0.0, 60.0])
def test_tasks_are_counted_once_however_many_slices_that_takes(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(request_progress, "SLICE_SECONDS", seconds)
    request()
    states: dict[str, dict[str, int]] = {}
    held: dict[str, dict[str, int]] = {}
    spent: dict[str, int] = {}
    finished: dict[str, float] = {}
    cursor: request_progress.Cursor | None = (0, None)
    slices = 0
    while cursor is not None:
        found = request_progress.count(0, ["r1", "none", "r2"], [cursor], {"r1": [1]})
        cursor, slices = found["next"], slices + 1
        for request_id, at in found["finished_at"].items():
            finished[request_id] = max(finished.get(request_id, 0.0), at)
        for sums, counts in ((states, found["states"]), (held, found["held"])):
            for request_id, by_state in counts.items():
                for name, number in by_state.items():
                    sums.setdefault(request_id, {})[name] = sums.get(request_id, {}).get(name, 0) + number
        for request_id, usage in found["spent"].items():
            spent[request_id] = spent.get(request_id, 0) + usage["requests"]
    assert states == {"r1": {"SUCCEEDED": 1, "FAILED": 1, "REUSED": 1}, "r2": {"CANCELLED": 1}}
    assert held == {"r1": {"REUSED": 1}}
    assert spent == {"r1": 2, "r2": 1}
    assert finished == {"r1": 6.0, "none": 0.0, "r2": 5.0}
    assert (slices > 3) == (seconds == 0.0)
    assert request_progress.count(0, ["r1"], [None], {})["states"] == {}


def test_a_task_is_explained_by_its_own_outcome_and_not_by_that_of_another_request() -> None:
    request()
    key = ids.task_key("p", "b", S)
    event = ScoreFailed(
        project_id="p",
        call_id="b",
        scorer_ref=S,
        round=2,
        attempts=3,
        targets=[Target("other", 0, 0, 0)],
        at=7.0,
        error=Error(type="E", message=""),
    )
    folds.SCORE_EVENTS.apply(At(0, 9, 7.0), ScoreEvents(events=[event]))
    assert scores.load(0, key) is not None
    tasks = {
        (task["call_id"], task["scorer_ref"]): task
        for task in read(lambda a: request_progress.task_page(0, a, 9, "r1", None), 9)
    }
    assert {name: tasks["b", S][name] for name in ("round", "attempts", "reason", "since")} == {
        "round": 2,
        "attempts": 3,
        "reason": "E",
        "since": 7.0,
    }
    assert tasks["a", S]["since"] == 6.0
    assert tasks["b", T]["since"] == 1.0


def test_calls_are_listed_once_they_have_ended() -> None:
    parts: list[tuple[str, Literal["start", "end", "complete"]]] = [
        ("a", "start"),
        ("b", "end"),
        ("c", "complete"),
        ("d", "start"),
        ("d", "end"),
        ("e", "start"),
        ("f", "end"),
    ]
    for offset, (call_id, part) in enumerate(parts):
        event = CallLogged(project_id="p", call_id=call_id, part=part, call={"id": call_id, "o": part}, logged_at=1.0)
        folds.CALLS.apply(At(0, offset, 1.0), event)
    assert [row["call"]["id"] for _, row in calls.of_project(0, "p")] == ["b", "c", "d", "f"]
    for size, ids_only in product(SIZES, (False, True)):

        def page(after: str | None, size: int = size, ids_only: bool = ids_only) -> Page:
            return calls.page(0, after, size, "p", ids_only)

        found = read(page, size)
        assert [call["id"] for call in found] == ["b", "c", "d", "f"]
        assert all(("o" in call) != ids_only for call in found)


def test_history_has_every_wait_and_outcome_in_the_order_of_the_log_and_numbers_outcomes_by_time() -> None:
    ends = score_at_random(random.Random(11))
    waits = [(call, ref) for call, ref in product("ab", (S, T))]
    for offset, (call, ref) in enumerate(waits, len(ends)):
        facts: dict[str, Any] = {"project_id": "p", "call_id": call, "scorer_ref": ref, "targets": [], "at": 1.0}
        parked = TaskParked(**facts, occasion="late", reason="waiting_for_call", until=2.0)
        folds.SCORE_EVENTS.apply(At(0, offset, 1.0), ScoreEvents(events=[parked]))
    for size, (number, (call, ref)) in product(SIZES, enumerate(waits, len(ends))):

        def page(after: str | None, size: int = size, call: str = call, ref: str = ref) -> Page:
            return history.page(0, after, size, "p", call, ref)

        of_pair = [end for end in ends if (end["call"], end["ref"]) == (call, ref)]
        by_time = sorted(of_pair, key=lambda end: (end["at"], end["offset"]))
        found = read(page, size)
        expected = [(end["offset"], end["occasion"], end["status"], by_time.index(end) + 1) for end in of_pair]
        assert [
            (event["offset"], event["occasion"], event["status"], event["revision"]) for event in found[:-1]
        ] == expected
        assert (found[-1]["offset"], found[-1]["event"], found[-1]["occasion"]) == (number, "TaskParked", "late")
