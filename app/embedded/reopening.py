"""Opening the log and the tables again after a write that failed, as soon as the disk can be written."""

import asyncio
import logging
from pathlib import Path
from typing import Any

from .errors import LogBlockCorrupt, LogFormatMismatch
from .log import Log
from .room import check_room

FIRST_PAUSE = 0.1  # seconds until the disk is tried again, doubled each time
LONGEST_PAUSE = 2.0

logger = logging.getLogger(__name__)


async def reopen(app: Any, log: Log) -> None:
    """Try again until the disk can be written, and everything on it is open."""
    pause = FIRST_PAUSE
    while True:
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
        try:
            await asyncio.to_thread(check_room, {log.path, *(Path(table.data.path) for table in app.tables.values())})
            await _reopen_tables(app)
            await app._stop_fetcher()  # what is being delivered is of the past
            await log.reopen()
        except (LogBlockCorrupt, LogFormatMismatch) as error:
            app.on_hopeless(str(error))
        except Exception as error:  # rocksdict raises bare Exception
            logger.warning("still halted: %s", error)
        else:
            return


async def _reopen_tables(app: Any) -> None:
    for table in app.tables.values():
        tps = {tp for tp in app.consumer.assignment() if tp.topic == table.changelog_topic.get_topic_name()}
        table.data.revoke_partitions(table, tps)
        for tp in tps:
            app.tables.recovery.revoke(tp)
            table.data._db_for_partition(tp.partition)
            await asyncio.sleep(0)
