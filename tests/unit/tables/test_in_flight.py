"""A task holds a slot while it runs, or was stopped; it is in flight until what became of it is in the tables."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tables import in_flight
from tables.tasks import Task

SCORERS = ("a", "b")
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "send", "stop", "pop"]), st.integers(0, 4), st.sampled_from(SCORERS))
)


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    assert in_flight.size() == 0
    yield
    for entry in list(in_flight.entries()):
        in_flight.pop(entry.task.key)


@given(STEPS)
def test_slots_are_held_by_what_runs_and_what_was_stopped_and_memory_by_all_in_flight(
    steps: list[tuple[str, int, str]],
) -> None:
    known: dict[bytes, tuple[str, bool]] = {}  # scorer, whether it holds a slot
    for step, number, scorer in steps:
        key = b"%d" % number
        if step == "add" and key not in known:
            added = in_flight.enter(Task(0, key, "p", "c", scorer, "", []))
            in_flight.hold(added, number + 1)
            known[key] = scorer, True
        elif step in ("send", "stop") and (entry := in_flight.get(key)) is not None:
            in_flight.mark_sent(entry, 1.0, keep_slot=step == "stop")
            known[key] = known[key][0], known[key][1] and step == "stop"
            assert not entry.running
        elif step == "pop":
            in_flight.pop(key)
            known.pop(key, None)
        held = Counter(scorer for scorer, holds in known.values() if holds)
        assert (in_flight.size(), in_flight.slots()) == (len(known), held.total())
        assert [in_flight.slots_of(scorer) for scorer in SCORERS] == [held[scorer] for scorer in SCORERS]
        sizes = [sum(int(key) + 1 for key, (by, _) in known.items() if by == scorer) for scorer in SCORERS]
        assert [in_flight.held_bytes_of(scorer) for scorer in SCORERS] == sizes
        assert in_flight.held_bytes() == sum(sizes)
        assert sum(in_flight.of_scorer("p", scorer) for scorer in SCORERS) == len(known)
    for key in known:
        in_flight.pop(key)
