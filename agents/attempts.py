"""How an attempt runs: at once on the event loop, in a host, or in a worker process."""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import orjson

from agents.admission import Permit
from agents.attempt import Attempt
from agents.outbox import Outbox
from app import cluster, events
from app.faust_app import app
from app.judges.llm import LlmJudge, made_with
from app.scorers import BoundScorer, Outcome, RequestHeldBack, Runner, ScorerError, ScorerTimeout
from app.scorers.host_process import HostedRun
from tables import calls, judgements, provider_requests
from tables.in_flight import Entry
from tables.tasks import Task

log = logging.getLogger(__name__)


class Attempts:
    """The attempts that run on this worker.

    `on_outcome` gets the outcome of each that is not cancelled, and whether a failure is excused: see `Permit.release`.
    """

    def __init__(
        self, runner: Runner, outbox: Outbox, on_outcome: Callable[[Entry, Attempt, Outcome, bool], None]
    ) -> None:
        self._runner = runner
        self._outbox = outbox
        self._on_outcome = on_outcome
        self._running: dict[bytes, tuple[asyncio.Task[None] | HostedRun, Permit]] = {}  # by the task's key
        self._waiting_to_ask: set[asyncio.Task[None]] = set()
        self.writable = asyncio.Event()  # while it is not set, outcomes and requests to providers wait
        self.writable.set()

    # --- start and cancel ---

    def start(self, entry: Entry, bound: BoundScorer, call_row: calls.Row, permit: Permit) -> None:
        """Start an attempt at a task; one that takes next to no time has ended when this returns."""
        if bound.inline_for(call_row["call"]):
            self._run_inline(entry, Attempt(bound, call_row), permit)
            return
        task = entry.task
        cut_off = provider_requests.cut_off(task.partition, task.key) if bound.mode == "async" else 0
        entry.attempt = attempt = Attempt(bound, call_row, cut_off)
        attempt.report.task = (task.project_id, task.call_id, task.scorer_ref, task.occasion)
        if bound.mode == "async" and not bound.policy.cache:
            self._start_in_host(entry, attempt, permit)
        else:
            self._spawn(entry, permit, self._run(entry, attempt, permit))

    def cancel(self, key: bytes) -> None:
        """Cancel the attempt at a task, if one runs."""
        if found := self._running.pop(key, None):
            running, permit = found
            running.cancel()
            permit.abandon()

    def cancel_all(self) -> None:
        for key in list(self._running):
            self.cancel(key)
        for waiting in self._waiting_to_ask:
            waiting.cancel()

    def _run_inline(self, entry: Entry, attempt: Attempt, permit: Permit) -> None:
        try:
            output = self._runner.run_inline(attempt.bound, attempt.call_row["call"])
        except ScorerError as error:
            self._on_outcome(entry, attempt, error, permit.release(error))
        else:
            permit.release(None)
            self._on_outcome(entry, attempt, output, False)

    def _start_in_host(self, entry: Entry, attempt: Attempt, permit: Permit) -> None:
        """Start a coroutine in its host: without an asyncio task on this side, which would cost more than the rest."""
        on_outcome = partial(self._end, entry, attempt, permit)
        on_request = partial(self._hold_back, entry, attempt)
        call = attempt.call_row["call"]
        try:
            running = self._runner.begin(attempt.bound, call, attempt.report, on_outcome, on_request)
        except Exception as error:
            on_outcome(_as_outcome(entry.task, error))
        else:
            self._running[entry.task.key] = running, permit

    def _spawn(self, entry: Entry, permit: Permit, work: Coroutine[Any, Any, None]) -> None:
        # An empty context: the scorer must neither see nor change the stream event that happens to be current.
        running = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._running[entry.task.key] = running, permit
        running.add_done_callback(lambda _: permit.abandon())  # does nothing if it was released

    async def _run(self, entry: Entry, attempt: Attempt, permit: Permit) -> None:
        self._end(entry, attempt, permit, await self._outcome(entry, attempt, permit))

    async def _outcome(self, entry: Entry, attempt: Attempt, permit: Permit) -> Outcome:
        try:
            cached = await self._cached_judgement(entry.task, attempt)
            if cached is not None:
                permit.return_unused()  # nobody was asked, so it does not show that the provider answers
                return cached
            on_request = partial(self._hold_back, entry, attempt)
            return await self._runner.run(attempt.bound, attempt.call_row["call"], attempt.report, on_request)
        except Exception as error:
            return _as_outcome(entry.task, error)

    async def _cached_judgement(self, task: Task, attempt: Attempt) -> bytes | None:
        """The answer that a judge gave earlier in this project to the same question, if it may be used again.

        A task with an occasion of its own was submitted to have the judge asked again.
        """
        question = attempt.question()
        if question is None or task.occasion:
            return None
        try:
            # Nor could a judge be asked now, as that could not be written to the log.
            while app.consumer.in_doubt:  # noqa: ASYNC110 - it ends with a time that another thread notes
                await asyncio.sleep(1)
            found = await cluster.everywhere(judgements.find, task.project_id, question)
        except cluster.Unavailable:
            return None
        known = next((row for row in found.values() if row is not None), None)
        if known is None:
            return None
        if isinstance(attempt.bound.scorer, LlmJudge):
            attempt.report.made_with(**made_with(attempt.bound.scorer, attempt.call_row["call"]))
        attempt.use_again(known["call_id"], known["scorer_ref"])
        return orjson.dumps(known["output"])

    # --- the end ---

    def _end(self, entry: Entry, attempt: Attempt, permit: Permit, outcome: Outcome) -> None:
        """End an attempt. Its permit is released at once, however long its outcome has to wait for the log."""
        attempt.finish()
        self._forget(entry)
        if isinstance(outcome, ScorerTimeout) and attempt.held_back:
            permit.abandon()
            outcome = RequestHeldBack(f"{outcome.message} Its request had to wait for the log.")
        excused = permit.release(outcome if isinstance(outcome, ScorerError) else None)
        if self.writable.is_set():
            self._pass_on(entry, attempt, outcome, excused)
        else:
            self._spawn(entry, permit, self._pass_on_when_writable(entry, attempt, outcome, excused))

    async def _pass_on_when_writable(self, entry: Entry, attempt: Attempt, outcome: Outcome, excused: bool) -> None:
        await self.writable.wait()
        self._forget(entry)
        self._pass_on(entry, attempt, outcome, excused)

    def _pass_on(self, entry: Entry, attempt: Attempt, outcome: Outcome, excused: bool) -> None:
        if entry.running:  # else it was cancelled at the same moment
            self._on_outcome(entry, attempt, outcome, excused)

    def _forget(self, entry: Entry) -> None:
        if entry.running:  # else what runs under its key is a later attempt
            self._running.pop(entry.task.key, None)

    # --- requests to providers ---

    def _hold_back(self, entry: Entry, attempt: Attempt, may_send: Callable[[], None]) -> None:
        """Call `may_send` once the log says that a request is about to be sent, so that a kill leaves a trace of it."""
        attempt.held_back += 1
        self._log_request(entry, attempt, may_send)

    def _log_request(self, entry: Entry, attempt: Attempt, may_send: Callable[[], None]) -> None:
        def logged(durable: bool) -> None:
            if durable:
                attempt.held_back -= 1
                may_send()
            else:
                self._log_request_when_writable(entry, attempt, may_send)

        if self.writable.is_set():
            attempt.asked = True
            event = events.ProviderAsked(**entry.task.facts([]))
            self._outbox.put_durably(entry.task.partition, event.encode(), logged)
        else:
            self._log_request_when_writable(entry, attempt, may_send)

    def _log_request_when_writable(self, entry: Entry, attempt: Attempt, may_send: Callable[[], None]) -> None:
        async def wait() -> None:
            await self.writable.wait()
            if entry.running and entry.attempt is attempt and not attempt.finished:  # else nobody waits for it
                self._log_request(entry, attempt, may_send)

        waiting = asyncio.get_running_loop().create_task(wait(), context=contextvars.Context())
        self._waiting_to_ask.add(waiting)
        waiting.add_done_callback(self._waiting_to_ask.discard)


def _as_outcome(task: Task, error: Exception) -> ScorerError:
    if isinstance(error, ScorerError):
        return error
    log.error("running %s on call %s", task.scorer_ref, task.call_id, exc_info=error)
    return ScorerError(repr(error))
