"""Orders for rules, while somebody else sets the rule."""

from collections.abc import Awaitable, Callable

import pytest

from app import topics
from app.events import RuleSet
from app.rules import rule_id
from app.web import log_writes, rules
from tables import folds
from tables import rules as table
from tables.at import At
from tests.unit.rule_sets import rule_set
from tests.unit.web.client import Client

pytestmark = pytest.mark.usefixtures("bare_tables")

RULE = rule_set(rule_id=rule_id("p", "n"), sample_rate=0.1)


def apply(event: RuleSet, partitions: range) -> None:
    for partition in partitions:
        folds.CONTROLS.apply(At(partition, int(event.asked_at * 1e6), event.asked_at), event)


async def copies(rule_id: str) -> list[rules.Copy]:
    return [table.find(partition, rule_id) for partition in range(topics.partitions())]


def writing(*before: RuleSet, partitions: range) -> Callable[..., Awaitable[list[int]]]:
    """Writes to all partitions, to `partitions` behind what somebody else wrote `before`."""

    async def write(topic: topics.Topic, key: bytes, value: bytes) -> list[int]:
        event = folds.CONTROLS.decode(value)
        assert isinstance(event, RuleSet)
        for other in before:
            apply(other.replace(asked_at=event.asked_at - 0.0005), partitions)
        apply(event, range(topics.partitions()))
        return []

    return write


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> None:
    """All partitions are here, and somebody sets another share in front of each change."""
    other = RULE.replace(control_id="other", sample_rate=0.9)
    monkeypatch.setattr(rules, "_copies", copies)
    monkeypatch.setattr(rules, "_all_copies", copies)
    monkeypatch.setattr(log_writes, "everywhere", writing(other, partitions=range(topics.partitions())))


def test_pausing_a_rule_keeps_what_is_set_at_the_same_moment(client: Client) -> None:
    apply(RULE, range(topics.partitions()))
    paused = client.post(f"/rules/{RULE.rule_id}/pause", {})
    assert (paused.status, paused.json["status"], paused.json["sample_rate"]) == (200, "paused", 0.9)


def test_pausing_a_rule_that_not_all_partitions_have_makes_them_agree(client: Client) -> None:
    apply(RULE, range(topics.partitions()))
    apply(RULE.replace(control_id="second", sample_rate=0.2, asked_at=2.0), range(1))
    assert client.post(f"/rules/{RULE.rule_id}/pause", {}).json["sample_rate"] == 0.2
    for partition in range(topics.partitions()):
        rule = table.load(partition, RULE.rule_id)
        assert rule is not None
        assert (rule.last.status, rule.last.sample_rate) == ("paused", 0.2)


def test_a_new_status_makes_partitions_agree_that_have_different_rules_under_one_change(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    partitions = range(topics.partitions())
    apply(RULE, partitions)
    apply(RULE.replace(control_id="second", sample_rate=0.2, asked_at=2.0), range(1))  # and then its worker was killed
    apply(RULE.replace(control_id="third", asked_at=3.0, only_status=True), partitions)
    monkeypatch.setattr(log_writes, "everywhere", writing(partitions=partitions))
    assert client.post(f"/rules/{RULE.rule_id}/pause", {}).status == 200
    assert len({rule.last.sample_rate for part in partitions if (rule := table.load(part, RULE.rule_id))}) == 1


def test_whoever_changes_the_status_of_a_rule_learns_that_partitions_have_different_ones(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(RULE, range(topics.partitions()))
    other = RULE.replace(control_id="other", sample_rate=0.9)
    monkeypatch.setattr(log_writes, "everywhere", writing(other, partitions=range(1)))
    assert client.post(f"/rules/{RULE.rule_id}/pause", {}).status == 409
