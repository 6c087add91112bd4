"""A worker knows at any time whether its tables are being recovered."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from faust.tables.recovery import RebalanceAgain
from faust.types import TP

from app.recovery import Recovery


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
