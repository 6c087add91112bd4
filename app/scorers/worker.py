"""What runs inside a worker process."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from pydantic import BaseModel

from app.scorers.base import FunctionScorer, ScorerFunction, target_of
from app.scorers.code import ScorerSource
from app.scorers.digest import code_digest
from app.scorers.errors import (
    RAISED_BY_SCORERS,
    InvalidOutput,
    ScorerError,
    ScorerRaised,
    ScorerVersionUnavailable,
)
from app.scorers.outputs import encode_output
from app.scorers.report import Outcome, Report, ReportSnapshot, current, portable_end
from app.scorers.starts import StartAnnouncer

_ORPHAN_GRACE = 30.0
_LONGEST = 1e6
_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
_KEPT_SCORERS = 256
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


class _Refused(NamedTuple):
    """The scorers that a module has in another version, as long as its file stays the same."""

    file: tuple[int, int] | None
    sources: set[ScorerSource]


def run_job(job: Job) -> Reply:
    """Run one job."""
    _settle()
    report = Report()
    current.set(report)
    return Reply(*portable_end(_outcome(job), report))


def _outcome(job: Job) -> Outcome:
    with _standard_files_kept():
        try:
            target = target_of_source(job.source)
        except ScorerError as error:
            return error
        except BaseException as error:
            return ScorerRaised.of(error)
        _announce(job)
        # If the service is killed, nobody stops this process but the alarm.
        signal.setitimer(signal.ITIMER_REAL, min(job.timeout, _LONGEST) + _ORPHAN_GRACE)
        try:
            return call_scorer(target, job.arguments)
        except ScorerError as error:
            return error
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


def call_scorer(target: ScorerFunction, arguments: dict[str, Any]) -> bytes:
    """Score and encode. Raises ScorerError only, whatever the scorer raises."""
    try:
        output = target(**arguments)
    except RAISED_BY_SCORERS:
        raise
    except BaseException as error:
        raise ScorerRaised.of(error) from None
    return encode_checked(output)


def encode_checked(output: Any) -> bytes:
    """`encode_output`, where user code that runs during encoding may raise anything. Raises ScorerError only."""
    try:
        return encode_output(output)
    except ScorerError:
        raise
    except BaseException as error:
        raise InvalidOutput(f"The output could not be encoded as JSON: {type(error).__name__}.") from error


_announcer = StartAnnouncer()
_targets: dict[ScorerSource, ScorerFunction] = {}
_refused: dict[str, _Refused] = {}  # by module
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


def target_of_source(source: ScorerSource) -> ScorerFunction:
    """The function to call for a scorer, made once. Raises ScorerVersionUnavailable, or whatever its module raises."""
    target = _targets.get(source)
    if target is None:
        if len(_targets) >= _KEPT_SCORERS:
            _targets.clear()
        target = _targets[source] = _load(source)
    return target


def _load(source: ScorerSource) -> ScorerFunction:
    module = source.code.module
    refused = _refused.get(module)
    if refused is not None and _file_of(module) not in (None, refused.file):
        # Its file has changed, perhaps back to the right version: import it again. Not for each run, since that may
        # take long, and some modules cannot be imported twice.
        del _refused[module], sys.modules[module]
    elif refused is not None and source in refused.sources:
        raise _another_version(source)
    code = source.code.load()
    file = _file_of(module)
    if code_digest(code) != source.code_digest:
        _refused.setdefault(module, _Refused(file, set())).sources.add(source)
        raise _another_version(source)
    if not isinstance(code, type):
        return target_of(FunctionScorer.of(code))
    if not issubclass(code, BaseModel):
        raise TypeError(f"{source.code.qualname} is no longer a scorer.")
    return target_of(code.model_validate_json(source.params))


def _file_of(module: str) -> tuple[int, int] | None:
    """When the file of an imported module was changed last, and its size; None if there is none."""
    origin = getattr(getattr(sys.modules.get(module), "__spec__", None), "origin", None)
    try:
        found = os.stat(origin or "")
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _another_version(source: ScorerSource) -> ScorerVersionUnavailable:
    return ScorerVersionUnavailable(
        f"The source of {source.code.qualname} in {source.code.module} changed after the service started. "
        "Restart it to publish and run the new version."
    )
