"""What scoring reads of a call is what is in its table, however often it has read it before."""

from typing import Any

import orjson
import pytest

from app import ids
from app.events import CallLogged
from tables import calls
from tables.base import forget_rows

pytestmark = pytest.mark.usefixtures("bare_tables")

KEY = ids.call_key("p", "c")
ENDED: calls.Row = {"offset": 1, "parts": {"end": "x"}, "call": {"id": "c", "output": "one"}}
STARTED_TOO: calls.Row = {
    **ENDED,
    "parts": {"start": "y", "end": "x"},
    "call": {"id": "c", "output": "one", "inputs": {}},
}


@pytest.mark.parametrize("part", ["complete", "end"])
def test_a_call_that_ended_with_no_output_has_null_as_its_output_and_one_that_does_not_say_has_none(part: Any) -> None:
    said = {"id": "c", "ended_at": "2026-01-01T00:00:00Z", "exception": None}
    for given, found in (({"output": None}, {"output": None}), ({}, {})):
        event = CallLogged(project_id="p", call_id="c", part=part, call={**said, **given}, logged_at=1.0)
        row, verdict = calls.merge(None, event, 1)
        assert row is not None
        assert verdict == "stored"
        assert row["call"] == {"id": "c", "ended_at": "2026-01-01T00:00:00Z", **found}


def test_a_call_that_is_logged_further_is_read_anew() -> None:
    calls.save(0, KEY, ENDED)
    assert [calls.find_sized(0, KEY)[0] for _ in range(2)] == [ENDED, ENDED]
    calls.save(0, KEY, STARTED_TOO)
    assert [calls.find_sized(0, KEY)[0] for _ in range(2)] == [STARTED_TOO, STARTED_TOO]


def test_after_a_recovery_all_calls_are_read_anew() -> None:
    calls.save(0, KEY, ENDED)
    assert calls.find_sized(0, KEY) == (ENDED, len(orjson.dumps(ENDED)))
    calls.table._db(0).put(KEY, orjson.dumps(STARTED_TOO))
    forget_rows()
    assert calls.find_sized(0, KEY) == (STARTED_TOO, len(orjson.dumps(STARTED_TOO)))


def test_what_is_remembered_of_calls_is_bounded() -> None:
    for number in range(2_000):
        key = ids.call_key("p", str(number))
        calls.save(0, key, ENDED)
        assert calls.find_sized(0, key)[0] == ENDED
    assert len(calls._recent) == calls._RECENT_ROWS
    assert calls.find_sized(0, ids.call_key("p", "0"))[0] == ENDED


def test_every_project_with_calls_is_listed_once_in_pages_of_any_size_whatever_it_is_called() -> None:
    names = sorted({"a", "a!", "a/b", "a/b/c", "ab", "é", "\U0010ffff", "p" * 512})
    for name in names:
        for number in range(3):
            calls.save(0, ids.call_key(name, f"{number}"), ENDED)
    for rows in range(1, len(names) + 2):
        found, after = [], None
        while True:
            page = calls.projects(0, after, rows)
            found += [item["project_id"] for _, item in page["items"]]
            if (after := page["next"]) is None:
                break
        assert found == names
