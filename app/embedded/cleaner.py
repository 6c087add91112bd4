"""The service that cleans the log every few seconds while the app runs."""

from typing import Any

from mode import Service

from .errors import EmbeddedLogError, LogBlockCorrupt
from .log import Log

INTERVAL = 10.0  # seconds between cleanings; a cleaning looks only at what is new


class Cleaner(Service):
    """Cleans the app's log in the background, but only after recovery: its tables may still need a tombstone."""

    def __init__(self, app: Any, log: Log, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._app = app
        self._embedded = log

    @Service.task
    async def _clean_for_ever(self) -> None:
        while not self.should_stop:
            await self.sleep(INTERVAL)
            if not self._app.rebalancing and self._app.tables.actives_ready and self._embedded.failed is None:
                await self.wait(self._clean())  # until it is done, or the service stops

    async def _clean(self) -> None:
        try:
            stats = await self._embedded.clean()
        except LogBlockCorrupt as exc:
            self._app.on_hopeless(str(exc))
        except EmbeddedLogError as exc:
            self.log.warning("%s", exc)
        else:
            if stats.removed:
                self.log.info("Cleaned away %d records, %d bytes", stats.removed, stats.removed_bytes)
