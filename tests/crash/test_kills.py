"""Rule 2: whatever is killed and whenever, every accepted task ends exactly once and every number is right."""

import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.client import HTTPException
from typing import Any

from tests import stored
from tests.brokers import EMBEDDED, KAFKA, Broker, on_both_logs
from tests.command import verified
from tests.service import Service

pytestmark = on_both_logs

PROJECT = "acme/crash"
SCORERS = ("not_empty", "patient", "flaky", "in_process")
CALLS = 120
KILLS = {EMBEDDED: 20, KAFKA: 8}  # the soak has more


def test_kills_at_random_moments_lose_nothing_and_count_nothing_twice(
    make_service: Callable[..., Service], broker: Broker
) -> None:
    kills = int(os.environ.get("CALLSCORE_TEST_KILLS", KILLS[broker.name]))
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    service = make_service(scorers="tests.plugin_scorers", call_wait=300).start()
    refs = service.refs(*SCORERS)
    accepted: list[tuple[str, list[str]]] = []
    seen: dict[tuple[str, str], Any] = {}
    for kill in range(kills):
        new = [f"call-{kill}-{n}" for n in range(CALLS)]
        old = [f"call-{chance.randrange(kill + 1)}-{n}" for n in range(0, CALLS, 3)]
        client = threading.Thread(target=use, args=(service, chance.random() < 0.5, new, old, refs, accepted))
        client.start()
        time.sleep(chance.uniform(0.0, 0.6))
        service.kill()
        client.join()
        service.start()
        if kill % (1 + kills // 20) == 0:  # twenty looks at all scores, however many there come to be
            remember(service, seen)
    # The calls of submissions that were accepted while logging them was cut off.
    for kill in range(kills):
        log_all(service, (every := [f"call-{kill}-{n}" for n in range(CALLS)]))
        # A submission that was cut off may be in the log in part: this request shares its tasks.
        accepted.append((service.submit(PROJECT, every, refs), every))

    check(service, accepted, seen)
    before = [service.status(request_id)["tasks"] for request_id, _ in accepted]
    service.stop()
    rows = stored.tables(service)
    shutil.rmtree(service.data_dir / "instance-0")
    service.start()
    check(service, accepted, seen)
    assert [service.status(request_id)["tasks"] for request_id, _ in accepted] == before
    service.stop()
    assert not stored.differences(rows, stored.tables(service))
    verified(service)
    ended = stored.log(service).terminal_events()
    again = sum(ended.values()) - len(ended)
    print(f"kills {kills}, requests {len(accepted)}, tasks {len(ended)}, terminal events repeated {again}")


def use(
    service: Service, calls_first: bool, new: list[str], old: list[str], refs: list[str], accepted: list[Any]
) -> None:
    """A client that logs calls and submits them, in either order, until the service is killed under it."""
    try:
        if calls_first:
            log_all(service, new)
        for ids in (new, old):
            accepted.append((service.submit(PROJECT, ids, refs), ids))
        if not calls_first:
            log_all(service, new)
    except (OSError, HTTPException, AssertionError) as error:
        print(f"cut off: {type(error).__name__}")


def log_all(service: Service, ids: list[str]) -> None:
    service.log_calls(PROJECT, [{"id": call_id, "output": f"output of {call_id}"} for call_id in ids])


def remember(service: Service, seen: dict[tuple[str, str], Any]) -> None:
    """Every score that was ever shown as succeeded must stay what it was."""
    for score in service.items(f"/scores?project_id={PROJECT}&limit=1000&status=succeeded"):
        key = (score["call_id"], score["scorer_ref"])
        assert seen.setdefault(key, score) == score


def check(service: Service, accepted: list[tuple[str, list[str]]], seen: dict[tuple[str, str], Any]) -> None:
    """Every accepted request is complete, its sums add up, and they agree with its tasks and the scores."""
    assert accepted, "no submission was ever accepted"
    # Submissions whose answer was cut off may have been accepted; their scores must not come later either.
    for request in service.items(f"/score-requests?project_id={PROJECT}"):
        service.wait_finished(request["request_id"], 120)
    for request_id, ids in accepted:
        request = service.wait_finished(request_id, 120)
        counts = request["tasks"]
        states = {name: number for name, number in counts.items() if name not in ("total", "reused")}
        assert counts["total"] == len(ids) * len(SCORERS) == sum(states.values())
        assert counts["succeeded"] + counts["failed"] == counts["total"]
        tasks = service.items(f"/score-requests/{request_id}/tasks?limit=1000")
        assert len({(task["call_id"], task["scorer_ref"]) for task in tasks}) == counts["total"]
        assert Counter(task["status"] for task in tasks) == +Counter(states)
    remember(service, seen)
    scores = service.items(f"/scores?project_id={PROJECT}&limit=1000")
    keys = [(score["call_id"], score["scorer_ref"]) for score in scores]
    assert len(keys) == len(set(keys))
    assert {key[0] for key in keys} >= {call_id for _, ids in accepted for call_id in ids}
