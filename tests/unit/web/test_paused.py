"""What waits for paused scorers is counted as paused, and nothing twice."""

from hypothesis import given
from hypothesis import strategies as st

from app.web.progress import hold_back
from tables.progress import State

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
