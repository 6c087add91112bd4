"""How many tasks of a scorer may start now, by slots, memory, its breaker, its limits and its budget."""

from collections.abc import Callable

from agents.admission import Admission, Gate
from agents.budgets import Budgets
from agents.catalog import Catalog
from app.scorers import BoundScorer, Runner
from app.settings import Settings
from tables import in_flight

SLICE = 64  # tasks taken from a lane before the next one has its turn
CALL_BYTES = 64 * 1024**2  # of calls that tasks in flight may hold in memory


class Room:
    """The room of one worker. Where there is none, `wake` is called when it is worth asking again."""

    def __init__(self, settings: Settings, catalog: Catalog, runner: Runner, wake: Callable[[], None]) -> None:
        self.admission = Admission(settings.providers, wake, runner.processes_of_one)
        self.budgets = Budgets(settings.day_start, wake)
        self._settings = settings
        self._catalog = catalog
        self._runner = runner
        self._wake = wake

    def take_share(self, share: float) -> None:
        """Apply the part of all limits and budgets that this worker may use."""
        self.budgets.share = share
        self.admission.take_share(share)

    def of(self, project_id: str, scorer_ref: str) -> int:
        """How many tasks of a scorer may start now.

        A scorer may hold no more slots than are left free, nor more memory, so that hung ones never fill the worker:
        the dynamic threshold of shared-memory switches (Choudhury and Hahne, 1998). Tasks that have ended hold no slot,
        but only as many as there are slots may wait until the recorder has applied them.
        """
        bound = self._catalog.get(project_id, scorer_ref)
        if bound is None and not self._catalog.is_missing(project_id, scorer_ref):
            self._catalog.ask(project_id, scorer_ref, self._wake)
            return 0
        if not _has_memory(scorer_ref):
            return 0
        settings = self._settings
        held = in_flight.slots_of(scorer_ref)
        free = settings.concurrency - in_flight.slots()
        unapplied = in_flight.size() - in_flight.slots()
        room = min(SLICE, free - held, settings.scorer_concurrency - held, settings.concurrency - unapplied)
        if bound is None or room <= 0:
            return room
        return min(room, self._admitted(project_id, bound, self.admission.gate(bound)))

    def gate(self, project_id: str, bound: BoundScorer) -> Gate | None:
        """The gate that a task of a scorer may pass now; None if it may not start."""
        gate = self.admission.gate(bound)
        if not _has_memory(bound.ref):
            return None
        return gate if self._admitted(project_id, bound, gate) > 0 else None

    def _admitted(self, project_id: str, bound: BoundScorer, gate: Gate) -> int:
        """How many tasks may start by the scorer's own host, breaker, limits and budget."""
        if bound.mode == "async" and not self._runner.ready(bound, self._wake):
            return 0
        room = self.admission.room(gate)
        return room if room <= 0 else min(room, self.budgets.room(project_id, bound))


def _has_memory(scorer_ref: str) -> bool:
    return in_flight.held_bytes_of(scorer_ref) <= CALL_BYTES - in_flight.held_bytes()
