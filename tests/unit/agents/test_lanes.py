"""Lanes: fair turns, and no sleep while work is owed."""

from pathlib import Path

import pytest

from agents.chunk import Chunk
from agents.lanes import Lanes
from app import ids
from app.events import ScoreRequested, Target
from tables import chunks, progress, tasks
from tables.progress import State

pytestmark = pytest.mark.usefixtures("table_dir")


def chunk(
    request_id: str, number: int, refs: list[str], calls: int = 3, done: bool = False, partition: int = 0
) -> Chunk:
    """A chunk as fan-out adds it, with its row, and its progress if it is done."""
    event = ScoreRequested(
        request_id=request_id,
        chunk=number,
        project_id="p",
        call_ids=[f"{request_id}-{number}-{n}" for n in range(calls)],
        scorer_refs=refs,
        requested_at=0.0,
    )
    row = chunks.fold(None, event, number)
    chunks.table._db(partition).put(ids.chunk_key(request_id, number), row.encode())
    if done:
        for scorer in range(len(refs)):
            states = progress.Row()
            states.set(range(calls), State.SUCCEEDED, 1.0)
            progress.table._db(0).put(progress.key(request_id, number, scorer), states.encode())
    return Chunk(partition, event)


def parked_row(call_id: str, target: Target) -> tasks.Row:
    return tasks.Row(
        offset=0,
        project_id="p",
        call_id=call_id,
        scorer_ref="s",
        occasion="",
        round=1,
        attempts=0,
        targets=[target],
        status="waiting_for_call",
        reason="waiting_for_call",
        since=0.0,
        due=1.0,
    )


def take_all(lanes: Lanes, most: int = 2) -> list[str]:
    """The calls in the order in which lanes give them, until none can go on."""
    taken: list[str] = []
    while (tasks := lanes.take(lambda project, ref: most)) is not None:
        taken.extend(task.call_id for task in tasks)
    return taken


def test_lanes_take_turns(table_dir: Path) -> None:
    lanes = Lanes()
    lanes.add_chunk(chunk("huge", 0, ["s"], calls=6))
    lanes.add_chunk(chunk("small", 0, ["s"], calls=2))
    taken = take_all(lanes)
    assert taken.index("small-0-1") < taken.index("huge-0-4")
    assert len(taken) == 8


def test_a_scorer_with_few_places_waits_for_one_turn_of_each_other_scorer_and_not_of_each_request(
    table_dir: Path,
) -> None:
    lanes = Lanes()
    for number in range(50):
        lanes.add_chunk(chunk(f"huge-{number}", 0, ["a", "b"], calls=20))
    lanes.add_chunk(chunk("small", 0, ["few"], calls=3))
    order: list[str] = []
    for _ in range(9):
        taken = lanes.take(lambda project, ref: 1 if ref == "few" else 5)
        assert taken is not None
        order.append(taken[0].scorer_ref)
    assert order == ["a", "b", "few"] * 3


def test_a_new_request_has_its_first_turn_before_those_that_had_one_and_does_not_starve_them(table_dir: Path) -> None:
    lanes = Lanes()
    for number in range(10):
        lanes.add_chunk(chunk(f"huge-{number}", 0, ["s"], calls=20))

    def take() -> str:
        taken = lanes.take(lambda project, ref: 1)
        assert taken is not None
        return taken[0].targets[0].request_id

    assert {take() for _ in range(30)} == {f"huge-{number}" for number in range(10)}
    for number in range(3):
        lanes.add_chunk(chunk(f"small-{number}", 0, ["s"], calls=1))
    order = [take() for _ in range(6)]
    assert [request for request in order if request.startswith("small")] == ["small-0", "small-1", "small-2"]
    assert [request.partition("-")[0] for request in order] == ["small", "huge"] * 3


def test_parked_tasks_of_a_huge_request_leave_those_of_a_small_one_their_turn(table_dir: Path) -> None:
    lanes = Lanes()
    requests = [f"huge-{number}" for number in range(300)] + ["small-0"]
    for request in requests:
        target = Target(request.partition("-")[0], 0, 0, 0)
        key = ids.task_key("p", request, "s")
        tasks.table._db(0).put(key, parked_row(request, target).encode())
        lanes.add_parked(0, key, [target])
    taken = take_all(lanes)
    assert sorted(taken) == sorted(requests)
    assert taken.index("small-0") < 10


def test_work_behind_any_number_of_settled_chunks_is_found_before_the_scheduler_sleeps(table_dir: Path) -> None:
    lanes = Lanes()
    for number in range(40):
        lanes.add_chunk(chunk("r", number, ["s"], done=True))
    lanes.add_chunk(chunk("r", 40, ["s"]))
    assert take_all(lanes) == ["r-40-0", "r-40-1", "r-40-2"]


def test_a_lane_without_room_is_passed_over_and_keeps_its_work(table_dir: Path) -> None:
    lanes = Lanes()
    lanes.add_chunk(chunk("r", 0, ["hung", "good"]))
    tasks = lanes.take(lambda project, ref: 10 if ref == "good" else 0)
    assert tasks is not None
    assert {task.scorer_ref for task in tasks} == {"good"}
    assert lanes.take(lambda project, ref: 10 if ref == "good" else 0) is None
    assert len(take_all(lanes)) == 3


def test_no_task_is_lost_when_lanes_run_empty_beside_others_and_when_chunks_come_to_lanes_that_had_their_turn(
    table_dir: Path,
) -> None:
    lanes = Lanes()
    lanes.add_chunk(chunk("one", 0, ["s"], calls=2))
    lanes.add_chunk(chunk("two", 0, ["s"], calls=5))
    assert [task.call_id for task in lanes.take(lambda project, ref: 3) or []] == ["one-0-0", "one-0-1"]
    assert [task.call_id for task in lanes.take(lambda project, ref: 2) or []] == ["two-0-0", "two-0-1"]
    lanes.add_chunk(chunk("two", 1, ["s"], calls=2))
    assert take_all(lanes) == ["two-0-2", "two-0-3", "two-0-4", "two-1-0", "two-1-1"]
    lanes.add_chunk(chunk("three", 0, ["s"], calls=1))
    assert take_all(lanes) == ["three-0-0"]


def test_nothing_is_left_of_a_request_that_is_dropped_and_its_tasks_elsewhere_stay(table_dir: Path) -> None:
    lanes = Lanes()
    for where in (chunk("r", 0, ["s"]), chunk("r", 1, ["s"]), chunk("r", 2, ["s"], calls=1, partition=1)):
        lanes.add_chunk(where)
    lanes.add_chunk(chunk("alone", 0, ["other"]))
    lanes.add_chunk(chunk("stays", 0, ["s"], calls=1))
    [first, _] = lanes.take(lambda project, ref: 2) or []
    lanes.put_back(first)
    for request in ("r", "alone"):
        lanes.drop(request, 0)
    assert list(lanes.scorers()) == [("p", "s")]
    assert sorted(take_all(lanes)) == ["r-2-0", "stays-0-0"]


def test_a_chunk_is_settled_once_when_its_last_task_is(table_dir: Path) -> None:
    settled: list[bool] = []
    one = chunk("r", 0, ["a", "b"])
    one.when_settled.append(lambda: settled.append(True))
    lanes = Lanes()
    lanes.add_chunk(one)
    one.settle(0, 3)  # before the lane has looked: the rows will say so
    assert len(take_all(lanes)) == 6
    one.settle(0, 3)
    one.settle(1, 2)
    assert settled == []
    one.settle(1, 1)
    one.settle(1, 0)
    assert settled == [True]
