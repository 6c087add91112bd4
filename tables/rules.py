"""Table of rules: what they are, in every partition, and what they decided about the calls of this one.

A call is decided once: a decision that the log has from another record counts, so nothing is counted or scored twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any, Literal, Self

from msgspec.json import Decoder

from app import ids
from app.events import RuleSet, ScoreRequested
from app.structs import Struct
from tables import controls
from tables.base import Table, caches, first_wins
from tables.paging import Looked, Page, page_of

table = Table("rules")

Decision = Literal["sampled", "sampled_out"]

_RULE, _COUNTS, _REQUEST, _CALL = (kind + ids.SEPARATOR for kind in (b"rule", b"counts", b"request", b"call"))
MAX_BYTES = 256 * 1024  # of a revision; the views accept less


class Revision(RuleSet, tag="RuleSet"):
    """What a rule was from its `asked_at` on; a row."""

    offset: int

    def after(self, before: "Revision") -> "Revision":
        """What the rule was, if it was `before` until then."""
        if not self.only_status:
            return self
        return self.replace(
            scorer_refs=before.scorer_refs,
            where=before.where,
            sample_rate=before.sample_rate,
            status="removed" if before.status == "removed" else self.status,
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """The revisions of a rule in order of time. A call is judged by the one that was in force when it was logged."""

    revisions: list[Revision]

    @classmethod
    def of(cls, rows: Iterable[bytes]) -> Self:
        """The rule of these rows, in order of time."""
        revisions: list[Revision] = []
        for row in rows:
            revision = _decode(row)
            revisions.append(revision.after(revisions[-1]) if revisions else revision)
        return cls(revisions)

    @property
    def last(self) -> Revision:
        return self.revisions[-1]

    def at(self, time: float) -> Revision | None:
        """The revision in force at a time."""
        return next((revision for revision in reversed(self.revisions) if revision.asked_at <= time), None)


class Counts(Struct):
    """How many calls a rule matched, and how many of them are in its sample; `offset` made the last ones."""

    offset: int = -1
    matched: int = 0
    sampled: int = 0
    last_at: float = 0.0  # when it matched last


class Request(Struct):
    """What a rule's request has in this partition; `offset` made its last chunk, `first` the first with calls."""

    offset: int = -1
    first: int = -1
    calls: int = 0
    chunks: int = 0


class Decided(Struct, omit_defaults=True):
    """What a rule, as it was `set_at`, decided about a call: with `request_id`, that it is to be scored."""

    offset: int
    at: float
    set_at: float
    request_id: str | None = None

    @property
    def decision(self) -> Decision:
        return "sampled_out" if self.request_id is None else "sampled"


_decode = Decoder(Revision).decode
_decode_counts = Decoder(Counts).decode
_decode_request = Decoder(Request).decode
_decode_decided = Decoder(Decided).decode

# The rules of a partition by project, once they were asked for.
_of_project: dict[int, dict[str, list[Rule]]] = {}
caches.append(_of_project.clear)
_fold = first_wins(Revision)


def save(partition: int, event: RuleSet, offset: int) -> None:
    _of_project.pop(partition, None)
    # Sorted by time, then by id: the same order in each partition, in whatever order the copies came.
    key = _rule_key(event.rule_id) + ids.join_key(f"{int(event.asked_at * 1e6):017d}", event.control_id)
    table.put_row(partition, key, _fold(table.load(partition, key, _decode), event, offset).encode())


def save_batch(partition: int, event: ScoreRequested, offset: int) -> None:
    """Put what a rule decided with the chunk at `offset`."""
    batch = event.rule
    assert batch is not None
    rows: list[tuple[bytes, bytes]] = []
    new = {"sampled": 0, "sampled_out": 0}
    for request_id, call_ids in ((event.request_id, event.call_ids), (None, batch.sampled_out)):
        decided = Decided(offset=offset, at=event.requested_at, set_at=batch.set_at, request_id=request_id)
        for call_id in call_ids:
            known = decision(partition, batch.rule_id, call_id)
            if known is None or known.offset == offset:
                rows.append((_call_key(batch.rule_id, call_id), decided.encode()))
                new[decided.decision] += 1
    counts = load_counts(partition, batch.rule_id)
    if counts.offset < offset:
        counts = Counts(
            offset=offset,
            matched=counts.matched + sum(new.values()),
            sampled=counts.sampled + new["sampled"],
            last_at=max(counts.last_at, event.requested_at),
        )
    request = load_request(partition, event.request_id) or Request()
    if request.offset < offset:
        request = Request(
            offset=offset,
            first=offset if request.first < 0 and event.call_ids else request.first,
            calls=request.calls + len(event.call_ids),
            chunks=request.chunks + 1,
        )
    rows.append((_COUNTS + batch.rule_id.encode(), counts.encode()))
    rows.append((_REQUEST + event.request_id.encode(), request.encode()))
    table.write(partition, rows)


def load(partition: int, rule_id: str) -> Rule | None:
    rule = Rule.of(value for _, value in table.scan(partition, _rule_key(rule_id)))
    return rule if rule.revisions else None


def load_counts(partition: int, rule_id: str) -> Counts:
    return table.load(partition, _COUNTS + rule_id.encode(), _decode_counts) or Counts()


def load_request(partition: int, request_id: str) -> Request | None:
    return table.load(partition, _REQUEST + request_id.encode(), _decode_request)


def decision(partition: int, rule_id: str, call_id: str) -> Decided | None:
    """What a rule decided about a call; None if it has not, or does not match it."""
    return table.load(partition, _call_key(rule_id, call_id), _decode_decided)


def of_project(partition: int, project_id: str) -> list[Rule]:
    """The rules of a project, removed ones included."""
    return _by_project(partition).get(project_id, [])


def _by_project(partition: int) -> dict[str, list[Rule]]:
    known = _of_project.get(partition)
    if known is None:
        known = _of_project[partition] = defaultdict(list)
        rows = table.scan(partition, _RULE)
        for _, revisions in groupby(rows, key=lambda row: ids.split_key(row[0])[1]):
            rule = Rule.of(value for _, value in revisions)
            known[rule.last.project_id].append(rule)
    return known


def sampled_out(partition: int, project_id: str, call_id: str, scorer_ref: str) -> float | None:
    """When a rule left a call out of its sample, so that the scorer was not asked; None if none has."""
    for rule in of_project(partition, project_id):
        named = {revision.asked_at for revision in rule.revisions if scorer_ref in revision.scorer_refs}
        known = decision(partition, rule.last.rule_id, call_id) if named else None
        if known is not None and known.decision == "sampled_out" and known.set_at in named:
            return known.at
    return None


def _rule_key(rule_id: str) -> bytes:
    return _RULE + rule_id.encode() + ids.SEPARATOR


def _call_key(rule_id: str, call_id: str) -> bytes:
    return _CALL + ids.join_key(rule_id, call_id)


# --- queries -------------------------------------------------------------------------------------


def find(partition: int, rule_id: str) -> dict[str, Any] | None:
    """A rule as it is now, when it was first set, and its counts in this partition."""
    rule = load(partition, rule_id)
    return None if rule is None else _shown(partition, rule)


def listing(partition: int, project_id: str | None, globs: list[str]) -> list[dict[str, Any]]:
    """The rules of a project (None: of all that match one of `globs`) as `find` has them, without removed ones."""
    if project_id is not None:
        found = of_project(partition, project_id)
    else:
        by_project = _by_project(partition).items()
        found = [rule for name, rules in by_project if any(fnmatchcase(name, glob) for glob in globs) for rule in rules]
    return [_shown(partition, rule) for rule in found if rule.last.status != "removed"]


def number(partition: int, project_id: str) -> int:
    """How many rules a project ever had."""
    return len(of_project(partition, project_id))


def calls_of(partition: int, request_ids: list[str]) -> list[tuple[int, bool]]:
    """Of each of these requests of rules how many calls it has in this partition, and whether it takes no more.

    It takes none once it was cancelled or retried: see agents/rules.
    """
    found = [(load_request(partition, request_id) or Request(), request_id) for request_id in request_ids]
    return [(request.calls, controls.load(partition, request_id) is not None) for request, request_id in found]


def page(partition: int, after: str | None, rows: int, rule_id: str, wanted: Decision | None) -> Page:
    """The calls that a rule matched, by id: those with one decision (None: with any)."""
    return page_of(rows, _decided(partition, after, rule_id, wanted))


def _decided(partition: int, after: str | None, rule_id: str, wanted: Decision | None) -> Iterator[Looked]:
    prefix = _call_key(rule_id, "")
    for key, value in table.scan(partition, prefix, None if after is None else prefix + after.encode()):
        call_id, decided = key.removeprefix(prefix).decode(), _decode_decided(value)
        item = {"decision": decided.decision, "at": decided.at, "request_id": decided.request_id}
        yield call_id, {"call_id": call_id, **item} if wanted in (None, decided.decision) else None, 0


def _shown(partition: int, rule: Rule) -> dict[str, Any]:
    counts = load_counts(partition, rule.last.rule_id)
    return {**rule.last.as_dict(), "created_at": rule.revisions[0].asked_at, "counts": counts.as_dict()}
