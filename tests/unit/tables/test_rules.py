"""Rules and their decisions are folds: what comes again, or in another order, changes nothing."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.events import RuleBatch, RuleSet, ScoreRequested
from tables import chunks, folds, rules
from tables.at import At
from tables.base import Rows, Table
from tests.unit.rule_sets import rule_set

pytestmark = pytest.mark.usefixtures("bare_tables")


def a_rule(control_id: str, asked_at: float, **fields: Any) -> RuleSet:
    return rule_set(control_id=control_id, asked_at=asked_at, **fields)


def a_chunk(number: int, sampled: list[str], sampled_out: list[str]) -> ScoreRequested:
    return ScoreRequested(
        request_id="hour",
        chunk=number,
        project_id="p",
        call_ids=sampled,
        scorer_refs=["s"],
        requested_at=float(number),
        rule=RuleBatch(rule_id="r", set_at=1.0, sampled_out=sampled_out, open_until=9.0),
    )


def apply(offset: int, event: ScoreRequested) -> None:
    folds.SCORE_REQUESTS.apply(At(0, offset, 1.0), folds.SCORE_REQUESTS.decode(event.encode()))


def set_rule(event: RuleSet, partition: int = 0, offset: int = 0) -> None:
    folds.CONTROLS.apply(At(partition, offset, 1.0), folds.CONTROLS.decode(event.encode()))


def rows() -> dict[bytes, bytes]:
    return dict(rules.table.scan(0)) | dict(chunks.table.scan(0))


def test_a_call_is_judged_by_the_rule_as_it_was_when_it_was_logged_in_whatever_order_its_changes_came() -> None:
    changes = [a_rule("b", 1.0), a_rule("a", 3.0, status="paused"), a_rule("c", 3.0, sample_rate=0.5)]
    found = set()
    for partition, order in enumerate(permutations(changes)):
        for offset, event in enumerate([*order, *order]):
            set_rule(event, partition, offset)
        rule = rules.load(partition, "r")
        assert rule is not None
        assert rules.of_project(partition, "p") == [rule]
        assert [revision.control_id for revision in rule.revisions] == ["b", "a", "c"]
        found.add(tuple(revision and revision.control_id for revision in map(rule.at, (0.5, 1.0, 2.9, 3.0, 9.0))))
    assert found == {(None, "b", "b", "c", "c")}


def test_a_change_of_the_status_undoes_nothing_that_was_set_at_the_same_moment() -> None:
    changes = [
        a_rule("a", 1.0),
        a_rule("b", 2.0, scorer_refs=["t"], where={"op_name": "o"}, sample_rate=0.5),
        a_rule("c", 3.0, status="paused", only_status=True),
        a_rule("d", 4.0, status="removed", only_status=True),
        a_rule("e", 5.0, status="active", only_status=True),
        a_rule("f", 6.0),
    ]
    for partition, order in enumerate([changes, changes[::-1]]):
        for offset, event in enumerate(order):
            set_rule(event, partition, offset)
        rule = rules.load(partition, "r")
        assert rule is not None
        assert rules.of_project(partition, "p") == [rule]
        statuses = [revision.status for revision in rule.revisions]
        assert statuses == ["active", "active", "paused", "removed", "removed", "active"]
        rest = [(revision.scorer_refs, revision.where, revision.sample_rate) for revision in rule.revisions]
        assert rest == [(["s"], {}, 1.0), *[(["t"], {"op_name": "o"}, 0.5)] * 4, (["s"], {}, 1.0)]
    set_rule(a_rule("c", 3.0, status="paused", only_status=True), 2)  # where nothing else arrived
    assert rules.of_project(2, "p")[0].last.scorer_refs == ["s"]


def test_a_call_that_was_left_out_is_no_gap_of_a_scorer_that_the_rule_did_not_have_then() -> None:
    set_rule(a_rule("a", 1.0))
    set_rule(a_rule("b", 2.0, scorer_refs=["s", "t"]), offset=1)
    apply(3, a_chunk(0, ["sampled"], ["c"]))
    assert rules.sampled_out(0, "p", "c", "s") == 0.0
    assert rules.sampled_out(0, "p", "c", "t") is None
    assert rules.sampled_out(0, "p", "sampled", "s") is None
    assert rules.sampled_out(0, "p", "another", "s") is None


def test_a_rule_that_is_too_large_for_a_row_is_a_dead_letter() -> None:
    with pytest.raises(folds.CannotApply, match="exceeds"):
        set_rule(a_rule("a", 1.0, where={"attributes.x": ["x" * 1000] * 300}))
    assert rules.load(0, "r") is None


def test_what_a_rule_decided_is_counted_once_and_the_first_decision_about_a_call_counts() -> None:
    apply(3, a_chunk(0, ["a", "b"], ["c"]))
    apply(5, a_chunk(0, ["x"], []))  # a chunk with a number that is taken counts for nothing
    apply(7, a_chunk(1, ["b", "d"], ["a", "e"]))  # by a worker that had lost the partition
    counts = rules.load_counts(0, "r")
    assert (counts.matched, counts.sampled) == (5, 3)
    decided = {call: rules.decision(0, "r", call) for call in "abcdex"}
    assert {call: None if one is None else one.decision for call, one in decided.items()} == {
        "a": "sampled",
        "b": "sampled",
        "c": "sampled_out",
        "d": "sampled",
        "e": "sampled_out",
        "x": None,
    }
    request = rules.load_request(0, "hour")
    assert request is not None
    assert (request.first, request.chunks, request.calls) == (3, 2, 4)  # one of them in two chunks


def test_a_rules_request_begins_with_the_first_of_its_chunks_that_has_calls() -> None:
    firsts = []
    for offset, event in enumerate([a_chunk(2, [], ["a"]), a_chunk(1, ["b"], []), a_chunk(3, ["c"], [])]):
        apply(offset, event)
        request = rules.load_request(0, "hour")
        assert request is not None
        firsts.append(request.first)
    assert firsts == [-1, 1, 1]


def test_when_a_rule_matched_last_is_the_latest_that_any_worker_says() -> None:
    for offset, number in enumerate([1, 3, 2]):
        apply(offset, a_chunk(number, [f"{number}"], []))
    assert rules.load_counts(0, "r").last_at == 3.0


def test_a_kill_between_the_changelog_records_of_a_chunk_is_made_good_when_it_is_delivered_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[tuple[bytes, bytes | None]] = []
    write = Table.write

    def noting(self: Table, partition: int, put: Rows) -> None:
        if self is rules.table:
            written.extend(put)
        write(self, partition, put)

    def there() -> dict[bytes, bytes]:
        return dict(rules.table.scan(0))

    apply(3, a_chunk(0, ["a"], ["b"]))
    before = there()
    monkeypatch.setattr(Table, "write", noting)
    apply(5, a_chunk(1, ["c", "d"], ["e", "f"]))
    whole, records = there(), written[:]
    written.clear()
    apply(5, a_chunk(1, ["c", "d"], ["e", "f"]))
    assert written == records  # of which none may be in the changelog, although this worker has all of them
    for reached in range(len(records)):
        write(rules.table, 0, [(key, None) for key in there()])
        write(rules.table, 0, [*before.items(), *records[:reached]])
        apply(5, a_chunk(1, ["c", "d"], ["e", "f"]))
        assert there() == whole


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.lists(st.sampled_from("abcdef"), unique=True), st.integers(0, 6)), max_size=6
    ),
    st.data(),
)
def test_chunks_that_are_delivered_again_change_nothing(
    drawn: list[tuple[int, list[str], int]], data: st.DataObject
) -> None:
    for row in rows():
        for table in (rules.table, chunks.table):
            table.write(0, [(row, None)])
    events = [a_chunk(number, calls[:cut], calls[cut:]) for number, calls, cut in drawn]
    for offset, event in enumerate(events):
        apply(offset, event)
    once = rows()
    start = data.draw(st.integers(0, len(events)))
    for offset, event in list(enumerate(events))[start:]:
        apply(offset, event)
    assert rows() == once


def test_rules_of_a_project_are_known_as_soon_as_they_are_set() -> None:
    assert rules.of_project(0, "p") == []
    set_rule(a_rule("a", 1.0))
    [row] = rules.of_project(0, "p")
    assert row.last.status == "active"
    set_rule(a_rule("b", 2.0, status="removed"), offset=1)
    assert rules.listing(0, "p", []) == []
    assert rules.of_project(0, "other") == []
