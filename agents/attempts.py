"""How one attempt at a task runs: at once, or beside all else as a coroutine or in a worker process."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

import orjson

from agents.admission import Attempt
from agents.lanes import Task
from agents.outbox import Outbox
from agents.runs import Run
from app import cluster, events
from app.judges.llm import LlmJudge, made_with
from app.scorers import BoundScorer, Outcome, Runner, ScorerError
from tables import calls, judgements, provider_requests
from tables.in_flight import Entry

log = logging.getLogger(__name__)

Ended = Callable[[Entry, Run, Outcome, bool], None]


class Cancellable(Protocol):
    """What goes on beside all else until it ends or is cancelled."""

    def cancel(self) -> Any:
        """End it."""


class Attempts:
    """The attempts of one worker. `ended` gets each outcome, and whether the scorer's breaker excuses it."""

    def __init__(self, runner: Runner, outbox: Outbox, timeout: float, ended: Ended) -> None:
        self._runner = runner
        self._outbox = outbox
        self._timeout = timeout
        self._ended = ended
        self._running: dict[bytes, tuple[Cancellable, Attempt]] = {}
        self._asking_again: set[asyncio.Task[None]] = set()
        self.writable = asyncio.Event()  # while it is not set, outcomes wait
        self.writable.set()

    def run_inline(self, entry: Entry, bound: BoundScorer, call_row: calls.Row, attempt: Attempt) -> None:
        """Run a scorer that takes next to no time."""
        run = Run(bound, call_row)
        try:
            output = self._runner.run_inline(bound, call_row["call"])
        except ScorerError as error:
            self._ended(entry, run, error, attempt.ended(error))
        else:
            attempt.ended(None)
            self._ended(entry, run, output, False)

    def start(self, entry: Entry, bound: BoundScorer, call_row: calls.Row, attempt: Attempt) -> None:
        """Start an attempt that goes on beside all else, until it ends or is cancelled."""
        task = entry.task
        entry.run = run = Run(bound, call_row, self._lost(task, bound))
        run.report.task = (task.project_id, task.call_id, task.scorer_ref, task.occasion)
        if bound.mode == "async" and not bound.policy.cache:
            self._begin(entry, run, attempt)
        else:
            self._go_on(entry.key, attempt, self._run(entry, run, attempt))

    def _begin(self, entry: Entry, run: Run, attempt: Attempt) -> None:
        """Start a coroutine in its host, which costs no task of the event loop here."""
        came = partial(self._came, entry, run, attempt)
        try:
            asking = partial(self._asking, entry, run)
            running = self._runner.begin(run.bound, run.call_row["call"], self._seconds(run), run.report, came, asking)
        except Exception as error:
            came(_as_outcome(entry.task, error))
        else:
            self._running[entry.key] = running, attempt

    def _go_on(self, key: bytes, attempt: Attempt, work: Coroutine[Any, Any, None]) -> None:
        # An empty context: the scorer must not see, or write through, the stream event that happens to be current.
        running = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._running[key] = running, attempt
        running.add_done_callback(lambda _: attempt.left())  # however it ends: its gate must not stay taken

    def cancel(self, key: bytes) -> None:
        """End the attempt at a task, if one runs."""
        if found := self._running.pop(key, None):
            running, attempt = found
            running.cancel()
            attempt.left()

    def cancel_all(self) -> None:
        """End all attempts."""
        for key in list(self._running):
            self.cancel(key)
        for asking in self._asking_again:
            asking.cancel()

    async def _run(self, entry: Entry, run: Run, attempt: Attempt) -> None:
        self._came(entry, run, attempt, await self._outcome(entry, run, attempt))

    def _came(self, entry: Entry, run: Run, attempt: Attempt, outcome: Outcome) -> None:
        """This came of an attempt."""
        run.end()
        if entry.running:  # else what runs under its key is a later attempt
            self._running.pop(entry.key, None)
        # Whoever was asked is free again, however long the outcome has to wait for the log.
        excused = attempt.ended(outcome if isinstance(outcome, ScorerError) else None)
        if self.writable.is_set():
            self._end(entry, run, outcome, excused)
        else:
            self._go_on(entry.key, attempt, self._end_later(entry, run, outcome, excused))

    async def _end_later(self, entry: Entry, run: Run, outcome: Outcome, excused: bool) -> None:
        await self.writable.wait()
        if entry.running:
            self._running.pop(entry.key, None)
        self._end(entry, run, outcome, excused)

    def _end(self, entry: Entry, run: Run, outcome: Outcome, excused: bool) -> None:
        if entry.running:  # else it was stopped, and ended at the same moment
            self._ended(entry, run, outcome, excused)

    async def _known(self, task: Task, run: Run) -> bytes | None:
        """What a judge has said before in this project to the very same question, if that may be used.

        Whoever scores a call once more, on an occasion of its own, wants it to be asked again.
        """
        question = run.question()
        if question is None or task.occasion:
            return None
        try:
            found = await cluster.everywhere(judgements.find, task.project_id, question)
        except cluster.Unavailable:
            return None
        known = next((row for row in found.values() if row is not None), None)
        if known is None:
            return None
        if isinstance(run.bound.scorer, LlmJudge):
            run.report.made_with(**made_with(run.bound.scorer, run.call_row["call"]))
        run.report.made_with(judged_for={"call_id": known["call_id"], "scorer_ref": known["scorer_ref"]})
        return orjson.dumps(known["output"])

    async def _outcome(self, entry: Entry, run: Run, attempt: Attempt) -> Outcome:
        """What comes of it, whatever the scorer's code does."""
        try:
            known = await self._known(entry.task, run)
            if known is not None:
                attempt.left()  # it says nothing of how whoever was asked is now
                return known
            asking = partial(self._asking, entry, run)
            return await self._runner.run(run.bound, run.call_row["call"], self._seconds(run), run.report, asking)
        except Exception as error:
            return _as_outcome(entry.task, error)

    def _seconds(self, run: Run) -> float:
        return run.bound.policy.timeout or self._timeout

    def _asking(self, entry: Entry, run: Run, may_ask: Callable[[], None]) -> None:
        """Write that somebody is about to be asked, so that a kill is known to have cut it off; then let it ask."""

        def sent(durable: bool) -> None:
            if durable:
                may_ask()
            else:
                self._ask_later(entry, run, may_ask)

        if self.writable.is_set():
            run.asked = True
            self._outbox.put_durably(entry.partition, events.ProviderAsked(**entry.task.facts([])).encode(), sent)
        else:
            self._ask_later(entry, run, may_ask)

    def _ask_later(self, entry: Entry, run: Run, may_ask: Callable[[], None]) -> None:
        async def ask_again() -> None:
            await self.writable.wait()
            if entry.running and entry.run is run:  # else it is over, or somebody else's
                self._asking(entry, run, may_ask)

        again = asyncio.get_running_loop().create_task(ask_again(), context=contextvars.Context())
        self._asking_again.add(again)
        again.add_done_callback(self._asking_again.discard)

    @staticmethod
    def _lost(task: Task, bound: BoundScorer) -> int:
        """How many requests of earlier attempts at the task were cut off by a kill."""
        row = provider_requests.load(task.partition, task.key) if bound.mode == "async" else None
        return 0 if row is None else row[1]


def _as_outcome(task: Task, error: Exception) -> ScorerError:
    if isinstance(error, ScorerError):
        return error
    log.error("running %s on call %s", task.scorer_ref, task.call_id, exc_info=error)
    return ScorerError(repr(error))
