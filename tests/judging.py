"""What tests of judges share."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.judge import INPUT_PRICE, KEY, OUTPUT_PRICE, Judge
from tests.service import Service

PROJECT = "acme/judging"
PROMPT = "Is this polite? {output}\nIt answers: {question}"
NUMBER = {"type": "number", "min": 0, "max": 10}
LABEL = {"type": "label", "labels": ["good", "bad", "ugly"], "passing": ["good"]}
BOOLEAN = {"type": "boolean"}


class Judging:
    """A service, and the judge that its scorers ask. What is given are settings of the service."""

    def __init__(self, make: Callable[..., Service], judge: Judge, folder: Path) -> None:
        self._make = make
        self._folder = folder
        self.judge = judge

    def start(self, limits: dict[str, float] | None = None, priced: bool = True, **settings: object) -> Service:
        """Start the service; its provider has these limits."""
        file = self.judge.file(self._folder / "providers.toml", priced, **(limits or {}))
        service = self._make(scorers="tests.plugin_scorers", providers=file, **settings)
        service.extra_environment = {"JUDGE_KEY": KEY}
        return service.start()


def publish(service: Service, name: str = "polite", scale: object = NUMBER, **more: Any) -> str:
    """Publish a judge; returns its ref."""
    policy, prompt, project = more.pop("policy", {}), more.pop("prompt", PROMPT), more.pop("project", PROJECT)
    params = {"provider": "local", "model": "judge-1", "prompt": prompt, "scale": scale, **more}
    body = {"name": name, "kind": "llm_judge", "params": params, "project_id": project, "policy": policy}
    answer = service.post("/scorers", body)
    assert answer.status == 201, answer.raw
    return str(answer.json["ref"])


def log_outputs(service: Service, outputs: list[str], prefix: str = "call") -> list[str]:
    """Log a call for each output; returns their ids."""
    ids = [f"{prefix}-{n:05d}" for n in range(len(outputs))]
    calls = [{"id": call_id, "output": output} for call_id, output in zip(ids, outputs, strict=True)]
    service.log_calls(PROJECT, calls)
    return ids


def judged(service: Service, outputs: list[str], *refs: str, seconds: float = 120, prefix: str = "call") -> Any:
    """Have outputs judged; returns the request once it is finished."""
    request = service.submit(PROJECT, log_outputs(service, outputs, prefix), list(refs))
    return service.wait_finished(request, seconds)


def scores(service: Service, query: str = "") -> list[Any]:
    return service.items(f"/scores?project_id={PROJECT}&limit=1000{query}")


def bill(judge: Judge) -> dict[str, Any]:
    """What the judge counted, as a request's `cost` says it."""
    counted = judge.answered
    usd = Fraction(str(INPUT_PRICE)) * counted["input_tokens"] + Fraction(str(OUTPUT_PRICE)) * counted["output_tokens"]
    return {
        "usd": float(usd / 1_000_000),
        "requests": counted["requests"],
        "input_tokens": counted["input_tokens"],
        "output_tokens": counted["output_tokens"],
        "unpriced_requests": 0,
        "unanswered_requests": 0,
    }
