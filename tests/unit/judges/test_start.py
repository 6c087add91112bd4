"""What only scorers of autoevals need is loaded by their processes, not by the service."""

import subprocess
import sys
from pathlib import Path

from tests.service import ROOT


def test_a_worker_loads_neither_autoevals_nor_its_client_of_providers(tmp_path: Path) -> None:
    code = "import sys, app.worker; print([name for name in ('openai', 'autoevals') if name in sys.modules])"
    environment = {"CALLSCORE_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert done.stdout == b"[]\n"
