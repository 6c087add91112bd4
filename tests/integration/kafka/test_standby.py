"""Workers that keep a second copy of each other's tables: one that is lost is replaced at once, with all it had."""

import pytest

from tests.service import Service, answered

PROJECT = "acme/standby"
ROUNDS = 2
CALLS = 200


@pytest.fixture
def worker_settings() -> dict[str, object]:
    return {"standby_replicas": 1}


def test_the_other_worker_takes_over_whichever_is_killed_whenever(workers: list[Service]) -> None:
    refs = workers[0].refs("not_empty", "valid_json")
    requests: list[str] = []
    for number in range(ROUNDS):
        lost, left = workers[number % 2], workers[1 - number % 2]
        ids = [f"call-{number}-{n}" for n in range(CALLS)]
        answered(lambda: left.whole(f"/scores?project_id={PROJECT}&limit=1"))  # noqa: B023  (asked now)
        # Killed before any of this is committed, so that the other one gets it again.
        left.log_calls(PROJECT, ids, "{}")
        lost.kill()
        requests.append(answered(lambda: left.submit(PROJECT, ids, refs)))  # noqa: B023  (asked now)
        for request in requests:
            tasks = answered(lambda: left.wait_finished(request, 30))["tasks"]  # noqa: B023  (asked now)
            assert tasks["succeeded"] == tasks["total"] == CALLS * len(refs)
        lost.start()
