"""A worker's start: what it loads, and how long it may take."""

import subprocess
import sys
from pathlib import Path

from app.faust_app import FOR_EVER, app
from tests.service import ROOT

LATER = (
    "openai",  # by the processes of scorers of autoevals
    "autoevals",
    "app.web.openapi.document",  # by the first request for it
)


def test_a_worker_loads_at_its_start_nothing_that_is_needed_later(tmp_path: Path) -> None:
    code = f"import sys, app.worker; print([name for name in {LATER} if name in sys.modules])"
    environment = {"CALLSCORE_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert done.stdout == b"[]\n"


def test_a_slow_start_is_not_called_hanging_where_there_is_no_session_to_outlast() -> None:
    assert app.conf.broker_session_timeout == FOR_EVER
