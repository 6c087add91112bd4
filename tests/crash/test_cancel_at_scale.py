"""A request of very many tasks is cancelled at once: nothing of it starts any more, and its sums add up."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from tests.brokers import embedded_only
from tests.service import STATES, Service, until

PROJECT = "acme/scale"
REFS = 10


@embedded_only
def test_a_second_after_a_cancel_nothing_starts_and_the_sums_add_up(
    make_service: Callable[..., Service], tmp_path: Path
) -> None:
    tasks = int(os.environ.get("CALLSCORE_TEST_CANCELLED", "20000"))
    service = make_service(scorers="tests.gated_scorers").start()
    started = tmp_path / "started"
    ids = [f"call-{number}" for number in range(tasks // REFS)]
    service.log_calls(PROJECT, ids, str(started))
    refs = []
    for number in range(REFS):
        published = {"name": f"counted-{number}", "kind": "Counted", "params": {"number": number, "takes": 1}}
        refs.append(service.post("/scorers", published).json["ref"])
    request = service.submit(PROJECT, ids, refs)
    until(lambda: started.exists() and started.stat().st_size, lambda size: size > 500, 60)
    began = time.monotonic()
    answer = service.post(f"/score-requests/{request}/cancel", {})
    answered = time.monotonic() - began
    assert answer.status in (200, 202), answer.raw
    time.sleep(max(0.0, began + answered + 1 - time.monotonic()))
    at_one_second = started.stat().st_size
    finished = service.wait_finished(request)
    seconds = time.monotonic() - began
    time.sleep(2)
    assert started.stat().st_size == at_one_second < tasks
    counts = finished["tasks"]
    print(f"{tasks} tasks: answered after {answered:.2f} s, cancelled after {seconds:.2f} s; {counts}")
    assert finished["status"] == "cancelled"
    assert counts["total"] == tasks == sum(counts[state] for state in STATES)
    assert counts["cancelled"] == tasks - counts["succeeded"] > 0
    assert service.status(request)["tasks"] == counts
