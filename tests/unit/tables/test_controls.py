"""Controls of a request are numbered in the order of their partition, each once, whatever is delivered again."""

import asyncio

import pytest

from app import topics
from app.events import Control, RequestCancelled, RequestRetried
from app.positions import positions
from tables import controls, controls_in_progress
from tables.base import Rows, Table

pytestmark = pytest.mark.usefixtures("bare_tables")


def cancel(name: str) -> Control:
    return RequestCancelled(control_id=name, request_id="r", asked_by=None, asked_at=1.0)


def retry(name: str, asked_at: float = 2.0) -> Control:
    return RequestRetried(control_id=name, request_id="r", statuses=["failed"], asked_by=None, asked_at=asked_at)


ASKED = {3: cancel("a"), 4: retry("b", 8.0), 5: cancel("a"), 6: cancel("c"), 9: retry("d", 7.0), 10: retry("b")}
NUMBERS = {3: 1, 4: 2, 5: None, 6: 3, 9: 4, 10: None}


def save_all(after: int = 0) -> dict[int, int | None]:
    return {offset: controls.save(0, control, offset) for offset, control in ASKED.items() if offset > after}


def rows() -> dict[bytes, bytes]:
    return dict(controls.table.scan(0))


def test_a_control_is_taken_once_and_has_the_same_number_when_it_is_delivered_again() -> None:
    assert save_all() == NUMBERS
    once = rows()
    for after in (0, 4, 9):
        assert save_all(after) == {offset: number for offset, number in NUMBERS.items() if offset > after}
        assert rows() == once
    row = controls.load(0, "r")
    assert row is not None
    assert (row.number, row.cancelled, row.retried_at) == (4, False, 8.0)
    assert (controls.is_cancelled(0, "r"), controls.is_cancelled(0, "other")) == (False, False)
    assert (controls.last(0, "r"), controls.last(0, "other")) == (4, 0)
    assert [controls.get(0, "r", number) for number in range(1, 5)] == [ASKED[offset] for offset in (3, 4, 6, 9)]


def test_a_kill_between_the_changelog_records_of_a_control_is_made_good_when_it_is_delivered_again() -> None:
    written: list[tuple[bytes, bytes | None]] = []
    write = Table.write

    def noting(self: Table, partition: int, put: Rows) -> None:
        written.extend(put)
        write(self, partition, put)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Table, "write", noting)
        save_all()
    whole = rows()
    taken = [offset for offset, number in NUMBERS.items() if number is not None]
    each = len(written) // len(taken)
    for reached in range(len(written)):  # so many are in the changelog, and what was not through comes again
        controls.table.write(0, [(key, None) for key in rows()])
        controls.table.write(0, written[:reached])
        for _ in range(2):
            save_all([0, *taken][reached // each])
            assert rows() == whole


def test_controls_from_before_they_had_rows_of_their_own_are_still_there_and_get_them() -> None:
    save_all()
    whole = rows()
    kept = [controls.Numbered(offset=offset, control=ASKED[offset]) for offset in (3, 4, 6)]
    before = b'{"controls":[' + b",".join(one.encode() for one in kept) + b"]}"
    controls.table.write(0, [(key, None) for key in whole])
    controls.table.put_row(0, b"r", before)
    assert controls.is_cancelled(0, "r")
    assert controls.last(0, "r") == 3
    assert controls.get(0, "r", 2) == ASKED[4]
    assert controls.save(0, ASKED[6], 6) == 3  # delivered again
    assert controls.get(0, "r", 2) == ASKED[4]
    controls.table.put_row(0, b"r", before)
    assert save_all(4) == {5: None, 6: 3, 9: 4, 10: None}
    assert rows() == whole


async def test_a_control_shows_once_it_and_all_before_it_have_changed_the_progress_of_its_request() -> None:
    positions.applied(topics.controls.name, 0, 4)
    end_first, end_second = (controls_in_progress.begin(0, "r") for _ in range(2))
    end_other = controls_in_progress.begin(1, "r")
    shows = asyncio.create_task(controls_in_progress.in_effect(0, "r", [5]))
    for end in (end_second, end_second, end_other):  # a control that has ended may also be cancelled
        end()
        for _ in range(3):
            await asyncio.sleep(0)
        assert not shows.done()
    end_first()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not shows.done()  # the control itself has not come yet
    end_third = controls_in_progress.begin(0, "r")
    positions.applied(topics.controls.name, 0, 5)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not shows.done()
    end_third()
    assert await shows
    assert not controls_in_progress._in_progress
