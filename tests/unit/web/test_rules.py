"""Orders for rules, while somebody else sets the rule."""

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


@pytest.fixture(autouse=True)
def _local(monkeypatch: pytest.MonkeyPatch) -> None:
    """All partitions are here, and somebody sets another share in front of each change."""

    async def write(topic: topics.Topic, key: bytes, value: bytes) -> list[int]:
        event = folds.CONTROLS.decode(value)
        assert isinstance(event, RuleSet)
        apply(RULE.replace(control_id="other", sample_rate=0.9, asked_at=event.asked_at - 0.0005), everywhere)
        apply(event, everywhere)
        return []

    everywhere = range(topics.partitions())
    monkeypatch.setattr(rules, "_copies", copies)
    monkeypatch.setattr(rules, "_all_copies", copies)
    monkeypatch.setattr(log_writes, "everywhere", write)


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
