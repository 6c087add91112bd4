"""How many tasks of a scorer may start now: as many as places, memory, its limits, its breaker and its budget allow."""

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
    """The room of one worker. Where there is none, `wake` is called as soon as it is time to ask again."""

    def __init__(self, settings: Settings, catalog: Catalog, runner: Runner, wake: Callable[[], None]) -> None:
        self.admission = Admission(settings.providers, wake, runner.processes_of_one)
        self.budgets = Budgets(settings.day_start, wake)
        self._settings = settings
        self._catalog = catalog
        self._runner = runner
        self._wake = wake

    def take_share(self, share: float) -> None:
        """From now on this worker has so much of all limits and budgets."""
        self.budgets.share = share
        self.admission.take_share(share)

    def of(self, project_id: str, scorer_ref: str) -> int:
        """How many tasks of a scorer may start now.

        A scorer may hold no more places than are left free, nor more memory, so that hung ones never fill the worker:
        the dynamic threshold of shared-memory switches (Choudhury and Hahne, 1998). What has ended holds no place; as
        many as there are places may be on their way to the tables.
        """
        bound = self._catalog.get(project_id, scorer_ref)
        if bound is None and not self._catalog.is_missing(project_id, scorer_ref):
            self._catalog.ask(project_id, scorer_ref, self._wake)
            return 0
        if not _has_memory(scorer_ref):
            return 0
        settings = self._settings
        held = in_flight.places_of(scorer_ref)
        free = settings.concurrency - in_flight.places()
        said = in_flight.size() - in_flight.places()
        room = min(SLICE, free - held, settings.scorer_concurrency - held, settings.concurrency - said)
        if bound is None or room <= 0:
            return room
        return min(room, self._admitted(project_id, bound, self.admission.gate(bound)))

    def gate(self, project_id: str, bound: BoundScorer) -> Gate | None:
        """The gate that one task of a scorer may pass now; None if it may not start."""
        gate = self.admission.gate(bound)
        if not _has_memory(bound.ref):
            return None
        return gate if self._admitted(project_id, bound, gate) > 0 else None

    def _admitted(self, project_id: str, bound: BoundScorer, gate: Gate) -> int:
        """How many tasks of a scorer may start as far as that is the scorer's own affair."""
        if bound.mode == "async" and not self._runner.ready(bound, self._wake):
            return 0
        room = self.admission.room(gate)
        return room if room <= 0 else min(room, self.budgets.room(project_id, bound))


def _has_memory(scorer_ref: str) -> bool:
    return in_flight.held_bytes_of(scorer_ref) <= CALL_BYTES - in_flight.held_bytes()
