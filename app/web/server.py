"""The HTTP server: one aiohttp application, run as a service beside Faust's own."""

import asyncio
import logging

from aiohttp import web, web_response
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger
from mode import Service

from app import open_files, peers
from app.faust_app import app
from app.keys import KeyFile
from app.scorers import Registry, Runner
from app.settings import Settings
from app.slices import hurry
from app.urls import url_of
from app.web.accepted import ACCEPTED, Accepted
from app.web.auth import KEYS, authenticate
from app.web.bodies import MAX_BODY_BYTES
from app.web.connections import Connections
from app.web.errors import Handler, errors
from app.web.live import LIVE, Live
from app.web.metrics import measure
from app.web.origins import refuse_other_pages
from app.web.publishing import REGISTRY
from app.web.resolve import RESOLVER, Resolver
from app.web.routes import INTERNAL, ROUTES
from app.web.trying import RUNNER
from app.web.unanswered import note_unanswered

logger = logging.getLogger(__name__)

_SHUTDOWN_SECONDS = 2.0  # for what is being answered, and as long again for what is then cut off
_BACKLOG = 4_096  # connections not taken yet: a client whose attempt is dropped comes back after 1 s, 3 s, 7 s …


def _is_of_service(record: logging.LogRecord) -> bool:
    """Whether what aiohttp logs is about the service; one line is enough about a client that sends no valid HTTP."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        logger.info("refused what is not valid HTTP: %.200s", " ".join(error.message.split()))
        return False
    return True


@web.middleware
async def hurry_on(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep turns of the event loop short for a while, since the request waits for them: see `app/slices.py`."""
    hurry()
    return await handler(request)


def create_app(registry: Registry, keys: KeyFile | None = None, runner: Runner | None = None) -> web.Application:
    """The application; without `keys` it takes anyone. Scorers are tried on `runner`."""
    server_logger.addFilter(_is_of_service)
    # Otherwise it names the versions of Python and aiohttp.
    web_response.SERVER_SOFTWARE = "callscore"  # type: ignore[attr-defined]
    middlewares = [hurry_on, measure, note_unanswered, errors, refuse_other_pages, authenticate]
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES)
    app[REGISTRY] = registry
    app[RESOLVER] = Resolver(registry)
    app[KEYS] = keys
    app[RUNNER] = runner or Runner()
    app[ACCEPTED] = Accepted()
    app[LIVE] = Live()
    app.on_shutdown.append(app[LIVE].close)
    app.add_routes([*ROUTES, *INTERNAL])
    return app


class WebServer(Service):
    """Serves the HTTP surface from its start to its stop, also while tables recover.

    Raises:
        KeyFileError: when made, if the key file cannot be read.
    """

    def __init__(self, settings: Settings, registry: Registry, runner: Runner) -> None:
        super().__init__()
        self._settings = settings
        keys = None if settings.api_keys is None else KeyFile(settings.api_keys)
        self._app = create_app(registry, keys, runner)
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None
        self.port = settings.web_port
        """The port that is bound, once started; also where the settings say 0."""

    async def on_start(self) -> None:
        """Bind. Raises OSError if the address is taken."""
        runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        self._runner = runner
        assert runner.server is not None
        connections = Connections(runner.server, open_files.of_connections(len(app.tables) * self._settings.partitions))
        host, port = self._settings.web_host, self._settings.web_port
        self._listening = await asyncio.get_running_loop().create_server(connections, host, port, backlog=_BACKLOG)
        self.port = int(self._listening.sockets[0].getsockname()[1])
        logger.info("listening on %s", url_of(self._settings.web_host, self.port))

    async def on_stop(self) -> None:
        """Take no more requests and finish those that are being answered."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await peers.close()
