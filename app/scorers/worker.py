"""What runs inside a worker process."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from app.scorers.calling import call_scorer
from app.scorers.code import ScorerSource
from app.scorers.errors import ScorerError
from app.scorers.loading import target_or_error
from app.scorers.report import Outcome, Report, ReportSnapshot, current, portable_end
from app.scorers.starts import StartAnnouncer

_ORPHAN_GRACE = 30.0
_LONGEST = 1e6
_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
_NICENESS = 10


class Job(NamedTuple):
    """One run: `arguments` by name; `timeout` in seconds; `starts` is the path of the pipe for start signals."""

    source: ScorerSource
    arguments: dict[str, Any]
    timeout: float
    starts: str
    run_id: int


class Reply(NamedTuple):
    """An error is returned, not raised, so that nothing a scorer raises has to be pickled."""

    outcome: Outcome
    snapshot: ReportSnapshot


def run_job(job: Job) -> Reply:
    """Run one job."""
    _settle()
    report = Report()
    current.set(report)
    return Reply(*portable_end(_outcome(job), report))


def _outcome(job: Job) -> Outcome:
    with _standard_files_kept():
        target = target_or_error(job.source)
        if isinstance(target, ScorerError):
            return target
        _announce(job)
        # If the service is killed, nobody stops this process but the alarm.
        signal.setitimer(signal.ITIMER_REAL, min(job.timeout, _LONGEST) + _ORPHAN_GRACE)
        try:
            return call_scorer(target, job.arguments)
        except ScorerError as error:
            return error
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


_announcer = StartAnnouncer()
_settled = False
_null = _stdin = _stdout = -1


def _settle() -> None:
    """Prepare this process, once."""
    global _settled, _null, _stdin, _stdout
    if _settled:
        return
    _settled = True
    belong_to_the_service()
    # A scorer that computes for ever must not take processor time from the event loop.
    os.nice(_NICENESS)
    _null = os.open(os.devnull, os.O_RDWR)
    _stdin, _stdout = os.dup(0), os.dup(1)
    # Nobody reads stderr's pipe: a scorer that fills it would wait for ever.
    os.dup2(_null, 2)


def belong_to_the_service() -> None:
    """Let the service decide when this process ends, and end with it at the latest."""
    # A signal to the whole process group is for the service, which then ends its workers itself. A handler rather
    # than SIG_IGN, which children of a scorer would inherit.
    signal.signal(signal.SIGINT, _leave_to_the_service)
    signal.signal(signal.SIGTERM, _leave_to_the_service)
    # Otherwise a scorer that hangs would outlive the service.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _leave_to_the_service(_signal: int, _frame: FrameType | None) -> None:
    return


@contextmanager
def _standard_files_kept() -> Iterator[None]:
    """Keep the scorer, including its C code and child processes, out of the pipes for jobs and replies."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    os.dup2(_null, 0)
    os.dup2(_null, 1)
    try:
        yield
    finally:
        os.dup2(_stdin, 0)
        os.dup2(_stdout, 1)


def _announce(job: Job) -> None:
    try:
        _announcer.announce(job.starts, job.run_id)
    except OSError:
        # The service then counts the time-out from an upper bound.
        return
