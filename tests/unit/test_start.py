"""What a worker does not need at its start is not loaded then."""

import subprocess
import sys
from pathlib import Path

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
