"""A provider of judgements: a real HTTP server that answers, refuses, fails or hangs, and remembers who came when."""

import asyncio
import threading
from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import Literal

from aiohttp import web

from tests.on_thread import OnThread

Mood = Literal["well", "throttling", "failing", "hanging", "locked", "refusing"]
RETRY_AFTER = 1  # seconds, while it throttles, unless it is set


class Provider(OnThread):
    """Serves on a thread of its own. `mood` may be set at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.mood: Mood = "well"
        self.arrivals: list[tuple[float, Mood, str, str]] = []  # (when it was sent, mood, call id, worker)
        self.throttled_first = 0  # of the requests that are still to come, so many are throttled whatever the mood
        self.succeeded: Counter[str] = Counter()  # by call id
        self.at_once = 0
        self.most_at_once = 0
        self.retry_after = RETRY_AFTER
        self.takes = 0.0  # seconds until it answers
        self._asked = threading.Event()

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/judge/{call_id}", self._answer)]

    def file(self, path: Path, **limits: float) -> Path:
        """A file for CALLSCORE_PROVIDERS that names it `local`, with these limits."""
        given = ", ".join(f"{name} = {value}" for name, value in limits.items())
        path.write_text(f'[local]\nbase_url = "http://127.0.0.1:{self.port}"\nlimits = {{ {given} }}\n')
        return path

    def wait_asked(self, seconds: float = 30) -> None:
        """Wait until it is asked, from now on."""
        self._asked.clear()
        assert self._asked.wait(seconds), "nobody asked"

    def times(self, mood: Mood | None = None) -> list[float]:
        """When it was asked, while it was in a mood, in monotonic seconds."""
        return [at for at, then, _, _ in self.arrivals if mood in (None, then)]

    def most_in(self, seconds: float) -> int:
        """The most requests that were sent in any window of so many seconds."""
        times = sorted(self.times())
        return max((bisect_left(times, at + seconds) - number for number, at in enumerate(times)), default=0)

    async def _answer(self, request: web.Request) -> web.Response:
        mood, call_id = self.mood, request.match_info["call_id"]
        if self.throttled_first:
            self.throttled_first -= 1
            mood = "throttling"
        self.arrivals.append((float(request.headers["Sent"]), mood, call_id, request.headers.get("Worker", "")))
        self._asked.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if mood == "throttling":
                return web.Response(status=429, headers={"Retry-After": str(self.retry_after)})
            if mood == "refusing":
                return web.Response(status=400)
            if mood == "failing":
                return web.Response(status=500)
            if mood == "locked":
                return web.Response(status=401)
            if mood == "hanging":
                await asyncio.sleep(3600)
            if self.takes:
                await asyncio.sleep(self.takes)
            self.succeeded[call_id] += 1
            return web.json_response({"passed": True})
        finally:
            self.at_once -= 1
