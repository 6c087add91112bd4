"""A worker that does not answer, and has not been found out yet: nothing that lacks what it holds passes for whole."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.web.responses import timestamp
from tests.service import Service, answered

PROJECT = "acme/silent"
CALLS = 100


def test_a_project_is_submitted_whole_or_not_at_all(workers: list[Service]) -> None:
    silent, left = workers
    for worker in workers:
        answered(lambda: worker.whole(f"/scores?project_id={PROJECT}&limit=1"))  # noqa: B023  (asked now)
    left.log_calls(PROJECT, [f"call-{n}" for n in range(CALLS)])
    assert len(left.items(f"/calls?project_id={PROJECT}&limit=1000")) == CALLS
    asked_at = timestamp(time.time())
    os.kill(silent.pid, signal.SIGSTOP)
    callscore = Path(sys.executable).parent / "callscore"
    command = [str(callscore), "submit", "--project", PROJECT, "--scorer", "not_empty", "--url", left.url]
    # All at once: after ten seconds it is found out.
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as submitting:
        with ThreadPoolExecutor() as threads:
            asking = threads.submit(left.get, f"/scores?project_id={PROJECT}&as_of={asked_at}")
            part = left.get(f"/calls?project_id={PROJECT}&limit=1000")
        assert (part.status, part.headers["Callscore-Unanswered-Partitions"] is None) == (200, False)
        assert 0 < len(part.json["items"]) < CALLS
        assert asking.result().status == 503  # it could be another answer later
        _, told = submitting.communicate(timeout=90)
    assert submitting.returncode == 0, told
    assert "does not answer" in told
    scores = left.items(f"/scores?project_id={PROJECT}&limit=1000")
    assert len(scores) == CALLS
