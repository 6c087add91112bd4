"""Which published scorer a ref means."""

from collections import OrderedDict
from itertools import islice

from aiohttp import web

from app.events import WEAVE_OBJECT
from app.scorers import BadRef, Registry, ScorerRef, parse_ref
from app.web.bodies import MAX_ERRORS
from app.web.errors import Detail, detail, problem
from tables import scorers

_CACHED = 10_000


class Resolver:
    """Turns scorer refs into refs that never change their meaning.

    A name is looked for among the project's scorers, then those of no project, then those of the code that need no
    parameters. A full ref of one of the latter means that one at once, and what others resolved to is kept, since it
    cannot change.
    """

    def __init__(self, registry: Registry) -> None:
        self._built_in = {bound.name: bound for bound in registry.parameterless()}
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    async def resolve_all(self, project_id: str, refs: list[str], loc: str) -> tuple[list[str], list[Detail]]:
        """The distinct refs that `refs` resolve to, in order, and a detail for the first 1,000 that do not.

        Raises:
            cluster.Unavailable: if the owner of a name cannot be asked now.
        """
        resolved: dict[str, None] = {}
        wrong: dict[str, str] = {}
        for ref in dict.fromkeys(refs):
            try:
                resolved[await self._resolve(project_id, ref)] = None
            except BadRef as error:
                wrong[ref] = str(error)
        if not wrong:
            return list(resolved), []
        where = ((index, ref) for index, ref in enumerate(refs) if ref in wrong)
        mistakes = (detail(["body", loc, index], wrong[ref], "scorer_ref_not_found") for index, ref in where)
        return list(resolved), list(islice(mistakes, MAX_ERRORS))

    async def _resolve(self, project_id: str, ref: str) -> str:
        known = self._known.get((project_id, ref))
        if known is not None:
            self._known.move_to_end((project_id, ref))
            return known
        parsed = parse_ref(ref)
        found = await self._find(project_id, parsed)
        if found is None:
            raise BadRef(f"{ref!a} names no scorer that this project can use.")
        if parsed.digest != "latest":
            self._known[project_id, ref] = found
            if len(self._known) > _CACHED:
                self._known.popitem(last=False)
        return found

    async def _find(self, project_id: str, ref: ScorerRef) -> str | None:
        if ref.scheme == "weave":
            return await self._find_weave(project_id, ref)
        bound = self._built_in.get(ref.name)
        if bound is not None and ref.digest == bound.digest:
            return bound.ref  # whoever has the code knows what it means, whichever worker is away
        version = await scorers.find_usable(project_id, ref.name, ref.digest)
        if version is not None:
            return version.ref
        return bound.ref if bound is not None and ref.digest == "latest" else None

    async def _find_weave(self, project_id: str, ref: ScorerRef) -> str | None:
        """A scorer object of the project."""
        if ref.entity_project != project_id:
            return None
        version = await scorers.find_version(project_id, ref.name, ref.digest)
        if version is None or not version.ref.startswith("weave:"):
            return None
        if version.kind == WEAVE_OBJECT:
            raise BadRef(
                f"{str(ref)!a} is an object whose code is not here: of Weave's scorers LLMAsAJudgeScorer and "
                "RemoteScorer can be run; publish what others do as a scorer of this service."
            )
        return version.ref


RESOLVER: web.AppKey[Resolver] = web.AppKey("resolver", Resolver)


async def resolved(request: web.Request, project_id: str, scorer_ref: str, where: str = "query") -> str:
    """The ref that never changes its meaning, of what `scorer_ref` of the query, or of the body, names.

    Raises:
        ApiError: 422, it names no scorer.
        cluster.Unavailable: as `resolve_all`.
    """
    refs, mistakes = await request.app[RESOLVER].resolve_all(project_id, [scorer_ref], "scorer_ref")
    if mistakes:
        raise problem(422, [where, "scorer_ref"], mistakes[0]["msg"], mistakes[0]["type"])
    return refs[0]
