"""Pushing scores to Weave as feedback on its calls, as Weave's own scorers write it.

The id of feedback is derived from its score, so a push can be interrupted and repeated.
"""

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from app import ids
from app.client.batches import send
from app.client.errors import CommandError, Refused
from app.client.http import Client
from app.client.weave.counts import Counts
from app.client.weave.service import Weave, dump

Score = Mapping[str, Any]

RUNNABLE = "wandb.runnable."
_AT_ONCE = 100
_TOO_MANY = 20
_LONGEST_NAME = 128
_CLASS = "CallscoreScorer"
_OURS = "callscore:///scorer/"


class Push:
    """Pushes the scores of one project, in passes over all of them."""

    def __init__(self, client: Client, weave: Weave, project: str, since: datetime | None = None) -> None:
        self.counts = Counts()
        self._client = client
        self._weave = weave
        self._project = project
        self._since = since
        self._done: set[str] = set()  # feedback that is there, or was refused
        self._runnables: dict[str, str] = {}

    async def run(self) -> None:
        """One pass. Raises CommandError; what was not pushed is in the next pass."""
        async for scores in self._new():
            found = await self._found(scores)
            by_id = {feedback_id(score): score for score in scores}
            rows = [(now, dump(await self._row(score))) for now, score in by_id.items() if now not in found]
            refused = dict(await send(self._weave.post, "/feedback/batch/create", rows))
            self.counts.add(len(rows), [(by_id[now]["call_id"], reason) for now, reason in refused.items()])
            if len(refused) == len(rows) >= _TOO_MANY and not self.counts.moved:
                raise CommandError(
                    f"The Weave at {self._weave.url} refuses all scores: {next(iter(refused.values()))}."
                )
            replaced = [
                earlier
                for now, score in by_id.items()
                for revision in range(1, score["revision"])
                if now not in refused and (earlier := feedback_id(score, revision)) in found
            ]
            if replaced:
                await self._weave.post("/feedback/purge", dump(purge(self._project, replaced)))
            self._done.update(feedback_id(score) for score in scores)

    async def _new(self) -> AsyncIterator[list[Score]]:
        """The scores that may not be there yet, in batches."""
        batch: list[Score] = []
        async for score in self._client.items("/scores", {"project_id": self._project, "status": "succeeded"}):
            if self._since is not None and datetime.fromisoformat(score["scored_at"]) < self._since:
                continue
            if feedback_id(score) in self._done:
                continue
            batch.append(score)
            if len(batch) >= _AT_ONCE:
                yield batch
                batch = []
        if batch:
            yield batch

    async def _found(self, scores: Iterable[Score]) -> set[str]:
        """The ids of all feedback on these calls."""
        calls = dict.fromkeys(ids.call_ref(self._project, score["call_id"]) for score in scores)
        answer = await self._weave.post("/feedback/query", dump(feedback_query(self._project, list(calls))))
        return {row["id"] for row in answer.get("result", ())}

    async def _row(self, score: Score) -> dict[str, Any]:
        ref = score["scorer_ref"]
        if ref not in self._runnables:
            self._runnables[ref] = await self._runnable(ref, score["scorer_name"])
        return feedback(self._project, score, self._runnables[ref])

    async def _runnable(self, ref: str, scorer_name: str) -> str:
        """The ref of a scorer in Weave, which takes only its own. Publishes an object that describes the scorer.

        If the project has another object of this name, it stays as it is, and no object describes the scorer.
        """
        if not ref.startswith(_OURS):
            return ref
        name = object_name(scorer_name)
        digest = ref.rpartition(":")[2]
        if await self._is_free(name):
            made = await self._weave.post("/obj/create", dump({"obj": scorer_object(self._project, name, ref)}))
            digest = made.get("digest", digest)
        return f"weave:///{self._project}/object/{name}:{digest}"

    async def _is_free(self, name: str) -> bool:
        try:
            found = await self._weave.post("/obj/read", dump(object_key(self._project, name)))
        except Refused as error:
            if error.status != 404:
                raise
            return True
        val = found.get("obj", {}).get("val")
        return isinstance(val, dict) and val.get("_class_name") == _CLASS


def feedback_id(score: Score, revision: int | None = None) -> str:
    """The id of the feedback that a revision of a score becomes, by default the shown one."""
    which = (score["project_id"], score["call_id"], score["scorer_ref"], str(revision or score["revision"]))
    return str(UUID(hex=ids.digest("feedback", *which)))


def feedback(project: str, score: Score, runnable: str) -> dict[str, Any]:
    """A succeeded score as feedback. Only fields that each version of Weave takes."""
    name = runnable.rpartition("/")[2].rpartition(":")[0]
    return {
        "id": feedback_id(score),
        "project_id": project,
        "weave_ref": ids.call_ref(project, score["call_id"]),
        "feedback_type": f"{RUNNABLE}{name}",
        "payload": {"output": score["output"]},
        "runnable_ref": runnable,
    }


def feedback_query(project: str, refs: Sequence[str]) -> dict[str, Any]:
    """A query for the ids of all feedback on some calls."""
    about = {"$in": [{"$getField": "weave_ref"}, [{"$literal": ref} for ref in refs]]}
    return {"project_id": project, "fields": ["id"], "query": {"$expr": about}}


def purge(project: str, feedback_ids: Sequence[str]) -> dict[str, Any]:
    """An order to delete feedback by its ids, in the only form that Weave takes."""
    each = [{"$eq": [{"$getField": "id"}, {"$literal": one}]} for one in feedback_ids]
    return {"project_id": project, "query": {"$expr": each[0] if len(each) == 1 else {"$or": each}}}


def object_name(scorer_name: str) -> str:
    """A name that Weave's objects may have, as Weave's SDK makes it."""
    name = re.sub(r"[._-]{2,}", "-", re.sub(r"[^\w._]+", "-", scorer_name)).strip("-_")
    return name[:_LONGEST_NAME] or "scorer"


def object_key(project: str, name: str) -> dict[str, Any]:
    """The latest version of an object."""
    return {"project_id": project, "object_id": name, "digest": "latest"}


def scorer_object(project: str, name: str, ref: str) -> dict[str, Any]:
    """An object that Weave lists among its scorers; what it does is in callscore, under its ref there."""
    val = {
        "_type": _CLASS,
        "name": name,
        "description": f"A scorer of callscore: {ref}",
        "ref_in_callscore": ref,  # `ref` is an attribute of each object in Weave's SDK
        "_class_name": _CLASS,
        "_bases": ["Scorer", "Object", "BaseModel"],
    }
    return {"project_id": project, "object_id": name, "val": val}
