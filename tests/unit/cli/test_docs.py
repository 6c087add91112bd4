"""What the documents say about scorers can be done."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from app.scorers import Registry
from app.scorers.plugins import builtin_kinds
from tests.service import ROOT

from .command import Command
from .fake_service import FakeService

PUBLISH = re.compile(r"callscore scorers publish [^`\n]*")
ROWS = re.findall(r"^\| `(\w+)` \| .* \|$", (ROOT / "docs" / "scorers.md").read_text(), re.MULTILINE)


def commands(text: str) -> list[list[str]]:
    """The commands of the text's blocks for a shell, as a shell would split them."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [shlex.split(line, comments=True) for block in blocks for line in block.replace("\\\n", "").splitlines()]


def test_every_built_in_kind_is_in_the_table() -> None:
    assert {kind.name for kind in builtin_kinds()} <= set(ROWS)


@pytest.mark.parametrize("line", PUBLISH.findall((ROOT / "docs" / "scorers.md").read_text()))
async def test_every_example_of_publishing_is_accepted(callscore: Command, service: FakeService, line: str) -> None:
    arguments = shlex.split(line)[1:]
    assert (await callscore(*arguments)).code == 0
    published: dict[str, Any] = service.scorers[-1]
    Registry.load().bind(published["name"], published["kind"], published["params"])


@pytest.mark.parametrize("document", ["README.md", "docs/scorers.md", "docs/rules.md"])
async def test_every_client_command_that_is_shown_can_be_typed_so(
    callscore: Command, service: FakeService, document: str, tmp_path: Path
) -> None:
    lines = tmp_path / "answers.jsonl"
    lines.write_text('{"question": "q", "answer": "a", "model": "m"}\n')
    names = ("refusal", "not_empty", "cites_a_source", "mentions_refund", "short")
    service.scorers = [
        {"name": name, "kind": "k", "description": "", "ref": f"callscore:///scorer/{name}:1"} for name in names
    ]
    service.counts = {"succeeded": 1}
    typed = [words[1:] for words in commands((ROOT / document).read_text()) if words[:1] == ["callscore"]]
    typed = [words for words in typed if words[0] != "log"]  # it needs no service, but a log
    assert len(typed) > 3
    for words in typed:
        ended = await callscore(*(str(lines) if word == lines.name else word for word in words))
        assert ended.code == 0, (words, ended.err)
