"""The scorers that this worker can run, by project and ref. What a ref names never changes, so it is kept for ever;
only its policy, which is set per project, is refreshed."""

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Any

from app import cluster, ids, topics
from app.events import ScorerPublished
from app.judges.policy import complete
from app.scorers import BadRef, BoundScorer, Policy, Registry, ScorerKey, parse_ref
from app.settings import get_settings
from app.slices import Turns
from tables import scorers

log = logging.getLogger(__name__)

_ASK_AGAIN = 5.0  # seconds until a ref that was not found is looked up again
_LOOK_AGAIN = 10.0  # seconds until policies are looked up again


class Catalog:
    """Finds scorers by ref: those of the code, and those published in the log."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._of_code = {bound.ref: complete(bound, Policy()) for bound in registry.parameterless()}
        self._published: dict[ScorerKey, BoundScorer] = {}
        self._made_of: dict[ScorerKey, tuple[str | None, Mapping[str, Any]]] = {}  # publisher and policy of each
        self._of_all: dict[str, BoundScorer] = {}  # those published for all projects, by ref
        self._missing: dict[ScorerKey, float] = {}  # when they may be looked up again
        self._fresh: set[ScorerKey] = set()  # found since the last look: it may have changed meanwhile
        self._asking: dict[ScorerKey, asyncio.Task[None]] = {}

    def get(self, project_id: str, ref: str) -> BoundScorer | None:
        """The scorer, with its policy in the project."""
        return self._of_code.get(ref) or self._published.get((project_id, ref))

    def is_missing(self, project_id: str, ref: str) -> bool:
        """Whether the ref was looked up lately, and this worker has no code for it."""
        return self._missing.get((project_id, ref), 0.0) > asyncio.get_running_loop().time()

    def ask(self, project_id: str, ref: str, then: Callable[[], None]) -> None:
        """Look a ref up at its owner; `then` is called once it is found or known to be missing."""
        if (project_id, ref) not in self._asking:
            self._asking[project_id, ref] = asyncio.create_task(self._ask(project_id, ref, then))

    async def _ask(self, project_id: str, ref: str, then: Callable[[], None]) -> None:
        try:
            bound = await self._find(project_id, ref)
        except cluster.Unavailable:
            await asyncio.sleep(1)
        else:
            if bound is not None:
                self._keep(project_id, bound)
                self._fresh.add((project_id, bound.ref))
            else:
                self._missing[project_id, ref] = asyncio.get_running_loop().time() + _ASK_AGAIN
        finally:
            del self._asking[project_id, ref]
            then()

    async def refresh(self) -> None:
        """Follow the policies of published scorers, for ever."""
        applied: dict[int, int] = {}
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            try:
                applied = await self._look_again(applied)
            except cluster.Unavailable:
                continue

    async def _look_again(self, before: dict[int, int]) -> dict[int, int]:
        """Look up the scorers of partitions that may have applied more than `before`; returns how far each is now.

        Raises:
            cluster.Unavailable: nothing was looked up.
        """
        now = await cluster.everywhere(scorers.applied)
        same = {partition for partition, offset in now.items() if before.get(partition) == offset}
        fresh, self._fresh = self._fresh, set()
        if len(same) == topics.partitions() and not fresh:
            return now
        turns = Turns()
        for project_id, ref in list(self._published):
            await turns.breathe()
            name = parse_ref(ref).name
            asked = {topics.partition_of(ids.scorer_key(project, name)) for project in (project_id, None)}
            if asked <= same and (project_id, ref) not in fresh:
                continue
            try:
                bound = await self._find(project_id, ref)
            except cluster.Unavailable:
                self._fresh.add((project_id, ref))
                continue
            if bound is not None:
                self._keep(project_id, bound)
        return now

    def _keep(self, project_id: str, bound: BoundScorer) -> None:
        if bound.project_id is None:  # published for all projects, which share its limits
            known = self._of_all.get(bound.ref)
            if known is not None and known.policy == bound.policy:
                bound = known
            self._of_all[bound.ref] = bound
        self._published[project_id, bound.ref] = bound

    async def _find(self, project_id: str, ref: str) -> BoundScorer | None:
        try:
            name, digest = parse_ref(ref).name, parse_ref(ref).digest
        except BadRef:
            return None
        found = await scorers.find_usable(project_id, name, digest)
        if found is None:
            return None
        made_of = found.project_id, found.policy
        known = self._published.get((project_id, ref))
        if known is not None and self._made_of[project_id, ref] == made_of:  # all else that a ref names stays
            return known
        bound = self._bind(found, ref)
        if bound is None:
            return None
        self._made_of[project_id, ref] = made_of
        return dataclasses.replace(bound, project_id=found.project_id)

    def _bind(self, found: ScorerPublished, ref: str) -> BoundScorer | None:
        try:
            bound = self._registry.bind_published(ref, found)
            return complete(bound, Policy.model_validate(found.policy))
        except Exception as error:  # a user's validator may raise anything
            log.warning("scorer %s cannot be made here: %r", ref, error)
            return None


def load_registry() -> Registry:
    """The registry of this process; modules that could not be loaded are logged."""
    registry = Registry.load(["app.judges", *get_settings().scorers])
    for problem in registry.problems:
        log.error("scorers: %s", problem)
    return registry
