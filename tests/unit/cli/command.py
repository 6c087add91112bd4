"""Running the command as users do: a process of its own, without a terminal."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


class Command:
    """Runs `callscore`, with its state below a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CALLSCORE_")}
        self.env = {**kept, "XDG_STATE_HOME": str(folder / "state")}

    async def start(self, *args: str) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app.cli", *args, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=self.env
        )

    async def __call__(self, *args: str, given: bytes = b"") -> Ended:
        return await self.end(await self.start(*args), given)

    async def end(self, process: Process, given: bytes = b"") -> Ended:
        out, err = await asyncio.wait_for(process.communicate(given), 60)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())
