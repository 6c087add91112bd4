"""What recovery makes of changelog records; and a worker knows at any time whether its tables are being recovered."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.tables.recovery import RebalanceAgain
from faust.types import TP
from rocksdict import Options, Rdict, WriteBatch

from app.recovery import Record, Recovery

MINE, STANDBY, OTHERS = (TP("callscore-scores-changelog", partition) for partition in range(3))
OFFSET_KEY = b"offset"


class FakeApp:
    """The parts of the app that recovery uses when it has ended, without any table."""

    def __init__(self) -> None:
        self.conf = SimpleNamespace(stream_recovery_delay=0.0, broker_request_timeout=5.0)
        self.tables = SimpleNamespace(values=list, changelog_topics=set(), on_actives_ready=int, on_standbys_ready=int)
        self.flow_control = SimpleNamespace(resume=int)
        self.assignor = SimpleNamespace(assigned_standbys=set, assigned_actives=set)
        self.consumer_generation_id, self.rebalancing_count, self.rebalancing = 1, 0, False
        self.tracer = self._rebalancing_span = None
        self.on_rebalance_complete = SimpleNamespace(send=self.complete)
        self.completed = False
        self._fetcher = SimpleNamespace(maybe_start=self.wait)
        self.moves_again = False
        self.consumer = SimpleNamespace(
            assignment=lambda: {TP("calls", 0)}, resume_partitions=set, resume_flow=int, perform_seek=self.seek
        )

    async def wait(self) -> None: ...

    async def complete(self) -> None:
        self.completed = True

    async def seek(self) -> None:
        if self.moves_again:
            self.on_rebalance_start()

    def on_rebalance_start(self) -> None:
        self.rebalancing_count, self.rebalancing = self.rebalancing_count + 1, True

    def on_rebalance_end(self) -> None:
        self.rebalancing = False


@pytest.mark.parametrize("moves_again", [None, "before streams go on", "while streams go on"])
async def test_a_recovery_that_the_next_rebalance_overtakes_does_not_say_that_this_one_has_ended(
    moves_again: str | None,
) -> None:
    app: Any = FakeApp()
    recovery = Recovery(app, app.tables)
    app.on_rebalance_start()
    await recovery.on_rebalance(set(), set(), set(), generation_id=1)
    recovery.signal_recovery_start.clear()
    if moves_again == "before streams go on":
        app.on_rebalance_start()
    app.moves_again = moves_again == "while streams go on"
    with pytest.raises(RebalanceAgain) if moves_again else nullcontext():
        await recovery.on_recovery_completed(generation_id=1)
    assert app.rebalancing == bool(moves_again)
    assert app.completed == (moves_again != "before streams go on")


class Store:
    """The stores of a table, in one database."""

    path = Path("tables")
    offset_key = OFFSET_KEY
    full = False

    def __init__(self, folder: Path) -> None:
        self.database = Rdict(str(folder), Options(raw_mode=True))

    def write(self, _partition: int, batch: WriteBatch) -> None:
        if self.full:
            raise Exception("No space left on device")
        self.database.write(batch)

    def rows(self) -> dict[Any, Any]:
        return dict(self.database.items())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "store")
    yield made
    made.database.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time of recoveries: `now` may be set."""
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr("app.recovery.time", clock)
    return clock


@pytest.fixture
async def recovery(store: Store, clock: SimpleNamespace) -> Any:
    """A recovery of a table that has nothing yet, whose last record has offset 4."""
    app: Any = FakeApp()
    app.halted = []
    app.on_cannot_store = lambda path, error: app.halted.append((path, str(error)))
    recovery: Any = Recovery(app, app.tables)
    for tps, offsets, highwaters, tp in (
        (recovery.active_tps, recovery.active_offsets, recovery.active_highwaters, MINE),
        (recovery.standby_tps, recovery.standby_offsets, recovery.standby_highwaters, STANDBY),
    ):
        tps.add(tp)
        offsets[tp], highwaters[tp] = -1, 4
        recovery.tp_to_table[tp] = SimpleNamespace(data=store)
    recovery._set_recovery_started()
    return recovery


def record(offset: int, key: bytes | None = b"a", value: bytes | None = b"1") -> Record:
    return SimpleNamespace(offset=offset, key=key, value=value)


@pytest.mark.parametrize("tp", [MINE, STANDBY])
async def test_records_of_a_changelog_become_rows_with_the_offset_of_the_last_one(
    recovery: Any, store: Store, tp: TP
) -> None:
    recovery.apply(tp, [record(0), record(1, b"b"), record(2, None), record(3, value=None), record(7, b"c", b"")])
    assert store.rows() == {b"b": b"1", b"c": b"", OFFSET_KEY: b"7"}


async def test_records_that_come_again_change_nothing(recovery: Any, store: Store) -> None:
    recovery.apply(MINE, [record(0), record(1, value=None), record(2, b"b")])
    rows = store.rows()
    recovery.apply(MINE, [record(0), record(1, value=b"2")])
    assert store.rows() == rows
    recovery.apply(MINE, [record(1, value=b"2"), record(2, b"b"), record(3, b"c")])
    assert store.rows() == rows | {b"c": b"1", OFFSET_KEY: b"3"}


async def test_records_of_a_partition_that_was_revoked_meanwhile_are_dropped(recovery: Any, store: Store) -> None:
    recovery.apply(OTHERS, [record(4)])
    assert store.rows() == {}
    assert OTHERS not in recovery.active_offsets | recovery.standby_offsets


async def test_what_a_table_could_not_store_does_not_count_as_recovered(recovery: Any, store: Store) -> None:
    store.full = True
    recovery.apply(MINE, [record(4)])
    assert recovery.app.halted == [(store.path, "No space left on device")]
    assert (recovery.active_offsets[MINE], recovery.in_recovery) == (-1, True)
    store.full = False
    recovery.apply(MINE, [record(4)])
    assert (recovery.active_offsets[MINE], recovery.in_recovery) == (4, False)


async def test_each_recovery_lasts_until_its_tables_have_their_last_record(recovery: Any) -> None:
    for end in (4, 9):
        recovery.active_highwaters[MINE] = end
        recovery._set_recovery_started()
        assert recovery.progress() == ": 0 % of 5 changelog records"
        recovery.apply(MINE, [record(end - 4)])
        assert (recovery.in_recovery, recovery.signal_recovery_end.is_set()) == (True, False)
        assert recovery.progress() == ": 20 % of 5 changelog records"
        recovery.apply(STANDBY, [record(end)])
        assert recovery.in_recovery
        recovery.apply(MINE, [record(end)])
        assert (recovery.in_recovery, recovery.signal_recovery_end.is_set()) == (False, True)
        assert recovery.progress() == ""


async def test_how_long_a_recovery_still_takes_is_estimated_once_it_has_gone_on_for_a_while(
    recovery: Any, clock: SimpleNamespace
) -> None:
    recovery.apply(MINE, [record(0)])
    clock.now += 3
    assert recovery.progress() == ": 20 % of 5 changelog records, about 12 s to go"
