"""What a judge reads in an answer."""

import time

import pytest

from app.judges.chat import Answer
from app.judges.llm import LlmJudge
from app.judges.posting import MAX_BYTES
from app.judges.scales import BooleanScale, Unreadable

JSON = '{"reason": "so", "passed": true}'
JUDGE = LlmJudge(provider="local", model="small", prompt="{output}", scale=BooleanScale(type="boolean"))


def read(text: str) -> object:
    return JUDGE._read(Answer(text, None, "stop"))


@pytest.mark.parametrize(
    "text",
    [JSON, f"```json\n{JSON}\n```", f"```\n{JSON}\n```", f" \n```json \r\n\n{JSON}\n\n  ``` \n", f"```JSON\n{JSON}```"],
)
def test_an_answer_is_read_with_and_without_a_fence(text: str) -> None:
    assert read(text) == read(JSON)


@pytest.mark.parametrize(
    "text",
    [
        "```json\n" + "\n" * MAX_BYTES,
        "\n" * MAX_BYTES + "x",
        "`" * MAX_BYTES,
        "```\n" + "```\n" * (MAX_BYTES // 4) + "x",
        "```\n" + ("```" + " " * 1_000) * (MAX_BYTES // 1_003) + "x",
    ],
)
def test_no_answer_keeps_a_judge_busy(text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(Unreadable):
        read(text)
    assert time.perf_counter() - began < 1
