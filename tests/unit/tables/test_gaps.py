"""Gaps are counted in slices, since a worker that takes too long for an answer is taken for one that gives none."""

import pytest

from app import ids
from tables import gaps, scores

pytestmark = pytest.mark.usefixtures("bare_tables")

REF, OTHER = "callscore:///scorer/judge:1", "callscore:///scorer/other:1"


async def test_counting_ends_in_time_however_many_calls_have_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps, "_SLICE_SECONDS", 0.0)
    statuses = {"a": (REF, "succeeded"), "b": (OTHER, "succeeded"), "c": (REF, "failed"), "d": (REF, "succeeded")}
    for call_id, (ref, status) in statuses.items():
        row = {"status": status, "round": 1, "attempts": 1, "at": 1.0, "offset": 1}
        scores.table.write(0, scores.encode_all({ids.task_key("p", call_id, ref): row}))
    slices: list[gaps.Counts] = []
    while not slices or slices[-1]["next"] is not None:
        slices.append(await gaps.count(0, [slices[-1]["next"] if slices else None], "p", REF))
    found = [(counted["calls"], dict(counted["reasons"])) for counted in slices[:4]]
    assert found == [(1, {}), (0, {}), (1, {"failed": 1}), (1, {})]
