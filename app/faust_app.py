"""The Faust app, built from Settings, and the errors that end its process. `app.worker` adds what runs in it."""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import faust
from faust.app.base import BootStrategy
from mode import Service

from app.embedded.errors import LogBlockCorrupt, LogFailed, LogUnsynced
from app.exits import EXIT_FAILED, EXIT_HOPELESS, EXIT_LOST_SEND, EXIT_STUCK, EXIT_UNSYNCED, die
from app.instance import FolderUnusable, Instance, claim_instance
from app.kafka.logs import limit_repeats
from app.kafka.members import Identity
from app.kafka_cluster import security
from app.recovery import Tables
from app.settings import Settings, get_settings

log = logging.getLogger(__name__)

FOR_EVER = 10 * 365 * 86400.0  # seconds
STOP_SECONDS = 10.0  # for the whole stop: compose.yaml has it killed after 60, Kubernetes after 30


class Boot(BootStrategy):
    """Starts the HTTP server and what prepares the broker before everything else, so that probes always answer."""

    def sensors(self) -> Iterable[Service]:
        return [*super().sensors(), *self.app.early_services]


class Worker(faust.Worker):
    """Ends as soon as everything has stopped, without the second that Faust's own waits."""

    async def stop(self) -> None:
        """Stop everything after calling `when_stopping`; after `STOP_SECONDS` end the process."""
        if not self._stopped.is_set():
            # In a thread, so that nothing on the event loop can hold it up.
            deadline = threading.Timer(STOP_SECONDS, self.app.on_late_stop)
            deadline.daemon = True
            deadline.start()
            for callback in self.app.when_stopping:
                callback()
        await super().stop()

    async def _sentinel_task(self) -> None:
        await asyncio.sleep(0)


class CallscoreApp(faust.App):
    """A Faust app whose tables lie in a folder that belongs to this process alone."""

    BootStrategy = Boot

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.early_services: list[Service] = []
        self.when_resumed: list[Callable[[], None]] = []  # called when streams are delivered again after a recovery
        self.when_stopping: list[Callable[[], None]] = []  # called before anything is stopped
        self.when_halted: list[Callable[[], None]] = []  # called when nothing can be written for now
        self.waiting_for: str | None = None  # what keeps the app from starting, while it lasts
        self.table_dir = Path()  # set when the app starts
        self._instance: Instance | None = None

    def claim_instance(self) -> None:
        """Take a folder for the tables, once. Raises FolderUnusable, AllTaken."""
        if self._instance is None:
            settings = get_settings()
            self._instance = claim_instance(settings.data_dir, settings.url)
            self.table_dir = self._instance.tables
            # A worker that comes back within the session time-out gets its partitions back without a rebalance.
            self.conf.consumer_group_instance_id = self.identity.instance

    @property
    def identity(self) -> Identity:
        """Who this worker is in Kafka's consumer group."""
        assert self._instance is not None
        return Identity.of(self.conf.id, get_settings().url, self._instance.id)

    def use_log(self, log_id: str) -> None:
        """Use only tables of this log; after `claim_instance`."""
        assert self._instance is not None
        try:
            if self._instance.use_for(log_id):
                print(f"{self.table_dir} had the tables of another log: they are rebuilt from this one.", flush=True)
        except FolderUnusable as error:
            print(f"Error: {error}", file=sys.stderr)
            die(EXIT_FAILED)

    def _create_directories(self) -> None:
        self.claim_instance()

    def on_lost_send(self, error: Exception) -> None:
        """An effect of a consumed record cannot be written, so nothing may be committed any more."""
        log.critical("the log refused a record that is owed, so this worker stops without committing: %s", error)
        die(EXIT_LOST_SEND)

    def on_lost_membership(self, seconds: float) -> None:
        """Kafka's group may have given this worker's partitions to others, so nothing that it owes may be written."""
        log.critical(
            "Kafka did not hear from this worker for %.1f s and does not know it any more: "
            "its partitions may have moved to others, so it ends itself",
            seconds,
        )
        die(EXIT_STUCK)

    def on_late_stop(self) -> None:
        """Something does not stop, such as a Kafka client that waits for brokers that are down."""
        log.critical(
            "this worker could not stop within %g s, so it ends at once: what it owes is done at its next start",
            STOP_SECONDS,
        )
        die(EXIT_STUCK)

    def on_halt(self, failure: LogFailed) -> None:
        """The embedded log or a table cannot be written. The consumer resumes once it can be.

        Unless a sync failed or the log is damaged: then this worker ends.
        """
        if isinstance(failure, LogBlockCorrupt):
            self.on_hopeless(str(failure))
        log.critical("nothing can be written: %s", failure)
        if isinstance(failure, LogUnsynced):
            die(EXIT_UNSYNCED)
        for callback in self.when_halted:
            callback()

    def on_cannot_store(self, path: Path, error: Exception) -> None:
        """The table at `path` cannot be written, so that no record can be applied any more."""
        if not get_settings().embedded:
            log.critical("%s cannot be written: %s", path, error)
            die(EXIT_STUCK)
        self.consumer.on_failed_write(path, error)

    def on_failed_work(self, what: str) -> None:
        """Work that the log owes failed, as the current exception says: this worker ends, and its next start does it.

        Unless nothing can be written: then that is why, and the log delivers again once something can be.
        """
        if self.producer.failed is None:
            log.critical("%s", what, exc_info=True)
            die(EXIT_STUCK)

    def on_hopeless(self, why: str) -> None:
        """The worker cannot run with its settings, or with the log that it found."""
        print(f"Error: {why}", file=sys.stderr)
        die(EXIT_HOPELESS)

    def on_unreadable(self, why: str) -> None:
        """The log or a table cannot be read, and may be readable after a restart."""
        log.critical("%s", why)
        die(EXIT_STUCK)

    def on_rebalance_end(self) -> None:
        super().on_rebalance_end()
        for callback in self.when_resumed:
            callback()


def create_app(settings: Settings) -> CallscoreApp:
    """The app for these settings; nothing is opened before it starts."""
    # At INFO and below, Faust builds a log record for every message that it sends.
    logging.getLogger("faust.topics").setLevel(logging.WARNING)
    # At DEBUG it logs passwords, and all that is sent.
    logging.getLogger("aiokafka.conn").setLevel(logging.INFO)
    limit_repeats()
    # It warns of every late timer on a busy or slow machine.
    logging.getLogger("mode.timers").setLevel(logging.ERROR)
    return CallscoreApp(
        settings.group,
        broker=settings.broker_url,
        datadir=str(settings.data_dir).replace("{", "{{").replace("}", "}}"),  # Faust takes it for a format string
        store="rocksdb://",
        topic_partitions=settings.partitions,
        topic_allow_declare=settings.embedded,  # on Kafka app/kafka/cluster.py has made them all
        topic_disable_leader=True,
        key_serializer="raw",
        value_serializer="raw",
        broker_credentials=None if settings.embedded else security(settings).credentials(),
        canonical_url=settings.url,
        table_standby_replicas=settings.standby_replicas,
        processing_guarantee="at_least_once",
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=0.5,
        # Without Kafka there is no session that a start on a slow machine could outlast, of which Faust would warn.
        broker_session_timeout=FOR_EVER if settings.embedded else 10.0,
        broker_heartbeat_interval=3.0,
        # An offset that waits for its tasks is no livelock; agents/watchdog detects real ones.
        broker_commit_livelock_soft_timeout=FOR_EVER,
        stream_processing_timeout=FOR_EVER,
        stream_wait_empty=False,
        stream_buffer_maxsize=4096,
        producer_acks=-1,
        producer_max_request_size=4 * 1024**2,
        producer_request_timeout=settings.kafka_delivery_timeout,
        consumer_max_fetch_size=4 * 1024**2,
        broker_max_poll_records=2000,
        TableManager=Tables,
        web_enabled=False,
        web_tables_enabled=False,
        web_router_enabled=False,
        web_stats_enabled=False,
        web_graph_enabled=False,
        worker_redirect_stdouts=False,
    )


app = create_app(get_settings())
