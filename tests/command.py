"""Commands, run as users run them, with the settings of a service."""

import subprocess
import sys

from tests.service import ROOT, Service


def log(service: Service, *args: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """`callscore log ...` with the settings of a service."""
    return run(service, "log", *args, given=given)


def run(service: Service, *args: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """`callscore ...` with the settings of a service."""
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *args],
        cwd=ROOT, env=service.environment | {"CALLSCORE_URL": service.url}, input=given, capture_output=True,
        timeout=300,
    )  # fmt: skip


def said(ended: "subprocess.CompletedProcess[bytes]") -> list[str]:
    """The lines of the result of a command that went well."""
    assert ended.returncode == 0, (ended.stdout + ended.stderr).decode()
    return ended.stdout.decode().splitlines()


def verified(service: Service) -> str:
    """What `replay --verify` says of a service, running or stopped, whose tables are what the log makes them."""
    return said(run(service, "replay", "--verify"))[-1]


def begin_import(service: Service, given: bytes) -> "subprocess.Popen[bytes]":
    """An import from standard input that has read this much, and waits for more."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "log", "import", "-"],
        cwd=ROOT, env=service.environment, stdin=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(given)
    process.stdin.flush()
    return process


def done(ended: "subprocess.CompletedProcess[bytes]") -> str:
    """What a command that went well said."""
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stderr.decode()


def refused(ended: "subprocess.CompletedProcess[bytes]", code: int = 1) -> str:
    """The one sentence with which a command failed."""
    assert ended.returncode == code, (ended.returncode, ended.stderr)
    [sentence] = ended.stderr.decode().splitlines()
    return sentence
