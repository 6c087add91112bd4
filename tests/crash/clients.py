"""Clients that use a service all the time, for tests of what happens to it meanwhile."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.service import Answer, Service, attempts, complete_call

PROJECT = "acme/full"
OUTPUT = "an output of some length. " * 200
CLIENTS = 4


class Clients:
    """Threads that log calls and submit them for as long as a test wants, and remember every answer."""

    def __init__(self, service: Service, refs: list[str]) -> None:
        self._service, self._refs = service, refs
        self._stopped = threading.Event()
        self.logged: list[str] = []
        self.accepted: list[tuple[str, list[str]]] = []
        self.refused: list[Answer] = []
        self.others: list[Answer | Exception] = []

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        self._stopped.clear()
        threads = [threading.Thread(target=self._run, args=(f"{name}-{n}",)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()

    def wait_for_more(self, answers: Sequence[object], number: int) -> None:
        """Wait until there are so many more of these answers."""
        wanted = len(answers) + number
        if not any(len(answers) >= wanted for _ in attempts(60)):
            raise AssertionError(self._service.log())

    def _run(self, name: str) -> None:
        turn = 0
        while not self._stopped.is_set():
            turn += 1
            ids = [f"{name}-{turn}-{n}" for n in range(10)]
            calls = [complete_call(PROJECT, {"id": call_id, "output": OUTPUT}) for call_id in ids]
            logged = self._send(f"/v2/{PROJECT}/calls/complete", {"batch": calls})
            if logged is None:
                continue
            self.logged.extend(ids)
            body = {"project_id": PROJECT, "call_ids": ids, "scorer_refs": self._refs}
            if (answer := self._send("/calls/score", body)) is not None:
                self.accepted.append((str(answer.headers["Location"]).rsplit("/", 1)[1], ids))

    def _send(self, path: str, body: object) -> Answer | None:
        """The answer, if it is a 200."""
        try:
            answer = self._service.post(path, body)
        except Exception as error:
            self.others.append(error)
            return None
        if answer.status == 200:
            return answer
        (self.refused if answer.status == 503 else self.others).append(answer)
        self._stopped.wait(0.05)
        return None

    def check_all_accepted_finish(self) -> None:
        """Every request that was accepted is complete, and no answer was anything but a 200 or a 503.

        What was refused may be in the log in part: its tasks have ended, too.
        """
        assert not self.others
        assert self.accepted
        print(f"accepted {len(self.accepted)}, refused {len(self.refused)}")
        for request_id, ids in self.accepted:
            counts = self._service.wait_finished(request_id, 120)["tasks"]
            assert counts["total"] == len(ids) * len(self._refs) == counts["succeeded"] + counts["failed"]
        self._service.wait_finished(self._service.submit(PROJECT, self.logged, self._refs), 120)

    def check_all_refused_say(self, reason: str, since: int = 0) -> None:
        """Every refusal since this one says why, and when to come again."""
        assert len(self.refused) > since
        for answer in self.refused[since:]:
            assert int(answer.headers["Retry-After"]) > 0
            assert reason in answer.raw.decode()
