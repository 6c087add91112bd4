"""How a scorer is run is what the project says whose task it is, whoever else publishes the same scorer."""

import asyncio
from typing import Any

import pytest

from agents.admission import Admission
from agents.catalog import Catalog
from app import cluster, ids, topics
from app.events import ScorerPublished
from app.scorers import Registry

REGISTRY = Registry.load()
REF = REGISTRY.bind("brief", "length", {"max": 3}).ref
POLICIES = {
    "acme": {"usd_per_day": 100.0, "timeout": 60.0, "concurrency": 7},
    "other": {"usd_per_day": 0.01, "timeout": 1.0, "concurrency": 1},
}

OF_ALL = {"concurrency": 3}  # where no project says it
asked: list[tuple[str | None, str]] = []


@pytest.fixture
async def catalog(monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """Both projects have asked for their scorer, which has the same name and parameters."""

    async def owner(query: object, key: bytes, project: str | None, name: str, digest: str) -> dict[str, Any] | None:
        asked.append((project, name))
        policy = OF_ALL if project is None else POLICIES.get(project)
        if policy is None:
            return None
        published = ScorerPublished(
            ref=REF,
            project_id=project,
            name=name,
            kind="length",
            params={"max": 3},
            digest=digest,
            policy=policy,
            published_at=0.0,
        )
        return published.as_dict()

    monkeypatch.setattr(cluster, "owner", owner)
    catalog = Catalog(REGISTRY)
    for project in (*POLICIES, "one", "two"):
        found = asyncio.Event()
        catalog.ask(project, REF, found.set)
        await found.wait()
    return catalog


@pytest.mark.parametrize("project", POLICIES)
async def test_each_project_has_its_own_policy_for_the_same_ref(catalog: Catalog, project: str) -> None:
    bound = catalog.get(project, REF)
    assert bound is not None
    assert bound.ref == REF
    assert bound.policy.model_dump(include=set(POLICIES[project])) == POLICIES[project]


async def test_a_project_that_has_not_asked_gets_nothing_of_what_another_said(catalog: Catalog) -> None:
    assert catalog.get("third", REF) is None


async def test_limits_of_one_project_do_not_hold_for_another(catalog: Catalog) -> None:
    admission = Admission({}, lambda: None, 2)
    admission.take_share(1.0)
    for _ in range(2):  # they take turns, and each finds its own
        found = {project: catalog.get(project, REF) for project in POLICIES}
        rooms = {project: admission.room(admission.gate(bound)) for project, bound in found.items() if bound}
        assert rooms == {"acme": 7, "other": 1}


async def test_projects_that_say_nothing_share_the_limits_of_a_scorer(catalog: Catalog) -> None:
    admission = Admission({}, lambda: None, 2)
    admission.take_share(1.0)
    one, two = catalog.get("one", REF), catalog.get("two", REF)
    assert one is not None
    assert two is not None
    admission.gate(one).enter(0, 1)
    assert [admission.room(admission.gate(bound)) for bound in (one, two)] == [2, 2]


async def test_a_scorer_is_looked_up_again_only_after_its_partition_has_applied_more(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied = dict.fromkeys(range(topics.partitions()), 5)

    async def everywhere(query: object) -> dict[int, int]:
        return dict(applied)

    monkeypatch.setattr(cluster, "everywhere", everywhere)
    seen = await catalog._look_again({})
    asked.clear()
    catalog.ask("acme", REF, (found := asyncio.Event()).set)
    await found.wait()
    asked.clear()
    seen = await catalog._look_again(seen)
    assert asked == [("acme", "brief")]  # it may have been published anew while it was looked up
    asked.clear()
    seen = await catalog._look_again(seen)
    assert not asked
    partition = topics.partition_of(ids.scorer_key("acme", "brief"))
    applied[partition] += 1
    monkeypatch.setitem(POLICIES, "acme", {"concurrency": 2})
    seen = await catalog._look_again(seen)
    bound = catalog.get("acme", REF)
    assert bound is not None
    assert bound.policy.concurrency == 2
    assert ("acme", "brief") in asked
    del applied[partition]  # its worker does not answer, or is of a version that does not know the question
    asked.clear()
    await catalog._look_again(seen)
    assert ("acme", "brief") in asked


async def test_a_scorer_whose_owner_did_not_answer_is_looked_up_again(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def everywhere(query: object) -> dict[int, int]:
        return dict.fromkeys(range(topics.partitions()), 5)

    async def silent(*_: object) -> None:
        raise cluster.Unavailable("it does not answer")

    monkeypatch.setattr(cluster, "everywhere", everywhere)
    with monkeypatch.context() as now:
        now.setattr(cluster, "owner", silent)
        seen = await catalog._look_again({})
    asked.clear()
    await catalog._look_again(seen)
    assert {project for project, _ in asked} == {*POLICIES, "one", "two", None}


async def test_a_scorer_is_made_anew_only_when_its_policy_changed(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def everywhere(query: object) -> dict[int, int]:
        return {}

    monkeypatch.setattr(cluster, "everywhere", everywhere)
    before = {project: catalog.get(project, REF) for project in POLICIES}
    monkeypatch.setitem(POLICIES, "acme", {"concurrency": 2})
    await catalog._look_again({})
    assert catalog.get("acme", REF) is not before["acme"]
    assert catalog.get("other", REF) is before["other"]
