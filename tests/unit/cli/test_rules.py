"""callscore rules."""

from .command import Command
from .fake_service import REFUSAL, FakeService


async def test_a_condition_that_reads_as_json_and_as_text_means_both_unless_it_is_quoted(
    callscore: Command, service: FakeService
) -> None:
    given = ("version=1.10", "new=true", "plan=null", "env=prod", "env=beta", 'n="42"')
    conditions = [word for condition in given for word in ("--where", f"attributes.{condition}")]
    ended = await callscore("rules", "set", "r", "--project", "a/b", "--scorer", REFUSAL, *conditions)
    assert service.rules[0]["where"] == {
        "attributes.version": [1.1, "1.10"],
        "attributes.new": [True, "true"],
        "attributes.plan": [None, "null"],
        "attributes.env": ["prod", "beta"],
        "attributes.n": ["42"],
    }
    assert ended.out.startswith('r is active: attributes.version = 1.1 or "1.10", attributes.new = true or "true", ')
