"""What a scorer ref means."""

import pytest

from app import cluster
from app.scorers import Registry
from app.web.resolve import Resolver


async def test_a_full_ref_of_a_scorer_of_the_code_is_known_while_no_worker_can_be_asked() -> None:
    registry = Registry.load([])
    resolver = Resolver(registry)
    refs = [bound.ref for bound in registry.parameterless()]
    assert refs
    assert await resolver.resolve_all("p", refs, "scorer_refs") == (refs, [])
    name = refs[0].rpartition(":")[0]
    for unknown in (f"{name}:latest", f"{name}:{'0' * 40}"):
        with pytest.raises(cluster.Unavailable):
            await resolver.resolve_all("p", [unknown], "scorer_refs")
