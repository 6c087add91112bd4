"""The real service in a process of its own, for tests that need all of it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kafka import ports

START_SECONDS = 120.0
PARTITIONS = 4  # half of the default: each has a file for each table, and is asked for one by one
ROOT = Path(__file__).parent.parent
STATES = ("queued", "waiting_for_call", "running", "retrying", "paused", "succeeded", "failed", "cancelled")  # of tasks

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, headers, and the body decoded from JSON where it is JSON."""

    status: int
    headers: Any = field(repr=False)
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


class Service:
    """One worker: started, stopped and killed as often as a test needs."""

    command: tuple[str, ...] = (str(Path(sys.executable).parent / "callscore"), "worker")

    def __init__(self, data_dir: Path, **settings: object) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = data_dir.parent / f"{data_dir.name}.log"
        settings = {"partitions": PARTITIONS} | settings
        self._settings = {_variable(name): str(value) for name, value in settings.items()}
        self._process: subprocess.Popen[bytes] | None = None
        self.extra_environment: Mapping[str, str] = {}
        self.others: list[Service] = []  # made by `another`

    def another(self, **settings: object) -> "Service":
        """Another worker with the same settings but for these, on the same volume, as workers on Kafka are."""
        made = Service(self.data_dir, **settings)
        made._settings = self._settings | {name: made._settings[name] for name in map(_variable, settings)}
        made.extra_environment = self.extra_environment
        made.log_path = self.log_path.with_suffix(".2.log")
        self.others.append(made)
        return made

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CALLSCORE_")}
        ours = {"CALLSCORE_DATA_DIR": str(self.data_dir), "CALLSCORE_WEB_PORT": str(self.port)}
        if "CALLSCORE_TEST_KAFKA" in os.environ:  # it may be on another machine
            ours["CALLSCORE_ADVERTISED_URL"] = self.url
        return {**kept, **self.extra_environment, **ours, **self._settings}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def spawn(self) -> None:
        """Start the process, without waiting until it is ready."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(self.command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    def start(self) -> "Service":
        """Start the process and wait until it is ready."""
        self.spawn()
        self.wait_ready()
        return self

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        for _ in attempts(seconds, 0.05):
            assert self._process is not None
            if self._process.poll() is not None:
                raise AssertionError(f"the service ended with {self._process.returncode}:\n{self.log()}")
            try:
                if self.get("/readyz").status == 200:
                    return
            except OSError:
                continue
        raise AssertionError(f"the service did not get ready:\n{self.log()}")

    def exit_code(self) -> int | None:
        """With what the process ended by itself; None while it runs, or after `stop` and `kill`."""
        return None if self._process is None else self._process.poll()

    def wait_ended(self, seconds: float = 60) -> int:
        """Wait until it ends by itself; returns its exit code."""
        assert self._process is not None
        code = self._process.wait(seconds)
        self._process = None
        return code

    def wait_unready(self, reason: str, seconds: float = 60) -> None:
        """Wait until it lives, and says that it is not ready because of something with `reason` in it."""
        said = ""
        for _ in attempts(seconds):
            try:
                answer = self.get("/readyz")
            except OSError:
                continue
            if answer.status == 503 and reason in (said := answer.json["reason"]):
                assert self.get("/healthz").status == 200
                return
        raise AssertionError(f"it says {said!r}, not {reason!r}:\n{self.log()}")

    def stop(self) -> int:
        """Ask it to stop; returns its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut of the process would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        code = self._process.wait(60)
        self._process = None
        return code

    def log(self) -> str:
        return self.log_path.read_text()[-8000:]

    def request(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None, timeout: float = 60
    ) -> Answer:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} | (headers or {})
        request = urllib.request.Request(self.url + path, data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def metrics(self) -> dict[str, float]:
        """The values of `/metrics`, by name and labels."""
        lines = self.get("/metrics").raw.decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    def whole(self, path: str) -> Any:
        """An answer to which every partition contributed."""
        answer = self.get(path)
        assert answer.status == 200, answer.raw
        assert answer.headers["Callscore-Unanswered-Partitions"] is None
        return answer.json

    def post(self, path: str, body: object, **headers: str) -> Answer:
        return self.request("POST", path, body, headers)

    def items(self, path: str) -> list[Any]:
        """All items of a list view, through all its pages."""
        found: list[Any] = []
        cursor = None
        while True:
            joint = "&" if "?" in path else "?"
            answer = self._asked_again(path + (f"{joint}cursor={cursor}" if cursor else ""))
            assert answer.status == 200, answer.raw
            page = answer.json
            found.extend(page["items"])
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def _asked_again(self, path: str) -> Answer:
        """GET as a patient client does: a view whose tables are behind the log says so with 503."""
        for _ in attempts(60):
            if (answer := self.get(path)).status != 503:
                break
        return answer

    def log_calls(self, project: str, calls: Iterable[str | dict[str, Any]], output: object = "an output") -> None:
        """Log complete calls, 500 at a time: ids of calls with this output, or `id` and whatever else a call has."""
        given = [{"id": call, "output": output} if isinstance(call, str) else call for call in calls]
        for first in range(0, len(given), 500):
            batch = [complete_call(project, call) for call in given[first : first + 500]]
            answer = self.post(f"/v2/{project}/calls/complete", {"batch": batch})
            assert answer.status == 200, answer.raw

    def submit(self, project: str, call_ids: list[str], scorer_refs: list[str], **headers: str) -> str:
        """Submit a request; returns its id."""
        body = {"project_id": project, "call_ids": call_ids, "scorer_refs": scorer_refs}
        answer = self.post("/calls/score", body, **headers)
        assert answer.status == 200, answer.raw
        return str(answer.headers["Location"]).rsplit("/", 1)[1]

    def status(self, request_id: str) -> Any:
        answer = self.get(f"/score-requests/{request_id}")
        assert answer.status == 200, answer.raw
        return answer.json

    def wait_finished(self, request_id: str, seconds: float = 120) -> Any:
        """Wait until every task of the request is terminal; returns the request."""
        for _ in attempts(seconds):
            request = self.status(request_id)
            if request["status"] != "running":
                return request
        raise AssertionError(f"not finished: {request}\n{self.log()}")

    def wait_for_tasks(self, request_id: str, state: str, number: int = 1, seconds: float = 30) -> Any:
        """Wait until at least so many tasks of the request are in a state; returns how many are in each."""
        for _ in attempts(seconds):
            counts = self.status(request_id)["tasks"]
            if counts[state] >= number:
                return counts
        raise AssertionError(f"not {number} are {state}: {counts}\n{self.log()}")

    def refs(self, *names: str) -> list[str]:
        """The refs of scorers that need no parameters."""
        known = {scorer["name"]: scorer["ref"] for scorer in self.items("/scorers")}
        return [known[name] for name in names]


def _variable(setting: str) -> str:
    return f"CALLSCORE_{setting.upper()}"


def attempts(seconds: float, longest: float = 0.25) -> Iterator[int]:
    """Count up for as long as `seconds`, with pauses that grow; for what can only be asked, not awaited."""
    deadline = time.monotonic() + seconds
    pause = 0.01
    number = 0
    while time.monotonic() < deadline:
        yield number
        number += 1
        time.sleep(pause)
        pause = min(pause * 1.5, longest)


def until(ask: Callable[[], T], holds: Callable[[T], object] = bool, seconds: float = 30) -> T:
    """Ask again and again; returns the first answer that holds."""
    for _ in attempts(seconds):
        if holds(answer := ask()):
            return answer
    raise AssertionError(f"after {seconds:g} s still {answer!r}")


def answered(ask: Callable[[], T], seconds: float = 90) -> T:
    """What `ask` returns once it neither fails nor finds nobody to ask: for while partitions move."""
    last: Exception | None = None
    for _ in attempts(seconds):
        try:
            return ask()
        except (OSError, AssertionError) as error:
            last = error
    raise AssertionError(f"no answer: {last!r}")


def complete_call(project: str, call: dict[str, Any]) -> dict[str, Any]:
    """A call in the shape of Weave's calls/complete."""
    return {
        "project_id": project,
        "trace_id": call["id"],
        "op_name": "answer",
        "started_at": "2026-01-01T00:00:00Z",
        "ended_at": "2026-01-01T00:00:01Z",
        "attributes": {},
        "inputs": {"question": "?"},
        "summary": {},
    } | call


def free_port() -> int:
    """A port of loopback that no outgoing connection takes while nobody listens on it."""
    (port,) = ports.free(1)
    return port
