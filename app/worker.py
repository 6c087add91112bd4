"""The composition root: everything that one worker runs, and `run`, which is the whole service.

Faust's own command could start the app too, but without what `run` does first: open files, memory, the event loop, and
opening the log with a one-sentence error.
"""

import asyncio
import gc
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import mode.loop
from mode import Service

import agents.calls
import agents.controls
import agents.fan_out
import agents.recorder
import agents.scorers
import agents.weave  # noqa: F401 - each registers its agent
from agents.dead_letters import follow_open
from agents.gossip import tell_pauses
from agents.rules import rules
from agents.scoring import scoring
from agents.shares import Shares
from agents.watchdog import Watchdog
from app import cluster, heap, open_files, slices, topics
from app.embedded import shared
from app.embedded.errors import (
    EmbeddedLogError,
    LogBlockCorrupt,
    LogFormatMismatch,
    LogUnreadable,
    PartitionCountMismatch,
)
from app.embedded.log import Log
from app.exits import EXIT_FAILED, EXIT_HOPELESS, EXIT_STUCK, die
from app.faust_app import Worker, app
from app.instance import AllTaken, FolderUnusable
from app.kafka.setup import Setup
from app.kafka_cluster import kafka_cluster
from app.positions import positions
from app.settings import get_settings
from app.web.server import WebServer
from tables.base import forget_rows, persist_offsets
from tables.buffers import Buffers
from tables.kafka_topics import kafka_topics

log = logging.getLogger(__name__)

_HOPELESS = (LogBlockCorrupt, LogFormatMismatch, PartitionCountMismatch)

shares = Shares(scoring.room.take_share)
_said_ready = False


class ScoringService(Service):
    """Runs what scoring does in the background; if any of it fails, the worker dies, since it is of no use without."""

    async def on_start(self) -> None:
        await scoring.runner.start(app.table_dir.parent)
        for run in (
            scoring.scheduler.run,
            scoring.parking.run,
            scoring.room.budgets.run,
            scoring.catalog.refresh,
            shares.run,
            tell_pauses,
            follow_open,
        ):
            self.add_future(for_ever(run))

    async def on_stop(self) -> None:
        await scoring.runner.stop()

    @Service.task
    async def _persist_offsets(self) -> None:
        async for _ in self.itertimer(1.0, name="persist-offsets"):
            persist_offsets()


async def for_ever(run: Callable[[], Awaitable[None]]) -> None:
    """Run what must never end; if it fails, the worker dies."""
    try:
        await run()
    except Exception:
        log.critical("the worker cannot go on", exc_info=True)
        die(EXIT_STUCK)


# How partitions move, in the order in which Faust calls these; the next move may begin after any of them.
#   before_partitions_move: nothing is delivered any more, and what was sent is in the log
#   before_tables_recover:  the new partitions are known
#   before_streams_resume:  their tables are recovered
#   open_partitions:        streams are delivered again
# A halt of the embedded log begins with `when_halted`, and ends with all of these.


@app.on_partitions_revoked.connect
async def before_partitions_move(app: Any, *_: Any, **__: Any) -> None:
    """Stop scoring: others may work on the revoked partitions before this worker has recovered its new ones."""
    scoring.revoked()
    rules.clear()
    forget_rows()


@app.on_partitions_assigned.connect
async def before_tables_recover(app: Any, *_: Any, **__: Any) -> None:
    """End what ran on partitions that others have now: an interrupted recovery never comes to the next step."""
    scoring.assigned(cluster.partitions_here())


@app.on_rebalance_complete.connect
async def before_streams_resume(app: Any, **_: Any) -> None:
    """Reset what is in memory: records will be delivered again from the committed offsets on."""
    cluster.recovered()
    shares.recovered()
    scoring.recovered(cluster.partitions_here())
    rules.clear()
    forget_rows()
    positions.recovered({(tp.topic, tp.partition) for tp in app.consumer.assignment()})


def open_partitions() -> None:
    """Score each partition as soon as its recorder has caught up."""
    opened = []
    for tp in app.consumer.assignment():
        committed = app.consumer.last_committed(tp)
        # An agent may have applied more already: streams are delivered again since a few turns of the event loop.
        if positions.get(tp.topic, tp.partition) < committed - 1:
            positions.applied(tp.topic, tp.partition, committed - 1)
        if tp.topic == topics.score_events.name:
            opened.append(app.add_future(scoring.open(tp.partition)))
            opened.append(app.add_future(rules.open(tp.partition)))
    app.add_future(say_ready(opened))


async def say_ready(opened: Iterable[Awaitable[Any]]) -> None:
    """Print once that the worker answers."""
    global _said_ready
    await asyncio.gather(*opened)
    while app.consumer.in_doubt:  # noqa: ASYNC110 - it ends with a time that another thread notes
        await asyncio.sleep(0.5)
    with suppress(cluster.Unavailable):
        cluster.check_ready()
        if not _said_ready:
            _said_ready = True
            print(f"callscore is ready: {get_settings().url}", flush=True)


app.when_resumed.append(open_partitions)
app.when_stopping.append(cluster.stop)
app.when_stopping.append(scoring.stop_all)
app.when_stopping.append(rules.clear)
app.when_halted.append(scoring.halted)
app.when_halted.append(rules.clear)
app.when_halted.append(forget_rows)
app.service(ScoringService)
app.early_services.append(WebServer(get_settings(), scoring.registry, scoring.runner))
app.early_services.append(Watchdog(get_settings().stuck_after))
app.early_services.append(Buffers())
if not get_settings().embedded:
    kafka = kafka_cluster(get_settings(), kafka_topics())
    app.early_services.append(Setup(kafka, app, topics.score_events.name))


def run() -> int:
    """Run one worker until it is told to stop; returns the exit code. Raises SettingsError."""
    settings = get_settings()
    settings.check_reachable()
    heap.tune()
    if lacks := open_files.shortage(len(app.tables) * settings.partitions):
        print(f"Error: {lacks}", file=sys.stderr)
        if settings.embedded:  # else others may have most of the partitions
            return EXIT_HOPELESS
    mode.loop.use("uvloop")
    loop = asyncio.new_event_loop()
    try:
        if settings.embedded:  # first, so that a second service on the log leaves no folder with this URL
            opened = loop.run_until_complete(open_log(settings.log_path, settings.partitions))
            app.early_services.insert(0, shared.Held(opened))  # the first to start is the last to stop
        app.claim_instance()
        if settings.embedded:
            app.use_log(opened.id)
    except (EmbeddedLogError, FolderUnusable, AllTaken) as error:
        print(f"Error: {error}", file=sys.stderr)
        if isinstance(error, LogUnreadable):
            return EXIT_STUCK
        return EXIT_HOPELESS if isinstance(error, _HOPELESS) else EXIT_FAILED
    worker = Worker(app, loglevel=settings.log_level, loop=loop, quiet=True)
    worker.spinner = None
    # What exists by now stays, and a collection of it would stop the worker for 100 ms each time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    sys.setswitchinterval(slices.PATIENT.switch)
    try:
        worker.execute_from_commandline()
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


async def open_log(path: Path, partitions: int) -> Log:
    """Open the embedded log with all topics before Faust does, so that an error is one sentence.

    Raises:
        EmbeddedLogError: it cannot be opened, or has another number of partitions.
    """
    log = shared.acquire(path)
    for topic in topics.ALL:
        log.create_topic(topic.name, partitions)
    await log.flush()
    return log


if __name__ == "__main__":
    sys.exit(run())
