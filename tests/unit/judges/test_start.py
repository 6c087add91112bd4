"""What only judges need is loaded by the first judgement, not by the start of the service."""

import subprocess
import sys
from pathlib import Path

from tests.service import ROOT


def test_a_worker_loads_neither_the_client_of_providers_nor_what_it_brings(tmp_path: Path) -> None:
    code = "import sys, app.worker; print([name for name in ('openai', 'httpx2', 'autoevals') if name in sys.modules])"
    environment = {"CALLSCORE_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert done.stdout == b"[]\n"
