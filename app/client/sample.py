"""The bundled sample: import it, score it, show how the models did."""

import os
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import orjson

from app.client import requests, scores
from app.client.defaults import DEFAULT_URL
from app.client.fields import Fields
from app.client.http import Client, Service
from app.client.importing import Import
from app.client.lines import Source
from app.client.output import note, say, table
from app.client.scorers import publish
from app.client.text import plural

PROJECT = "callscore/sample"
FIELDS = Fields(project=PROJECT, id="id", inputs=("question", "expected"), output="answer", op_name="answer",
                attributes=("model", "topic"))  # fmt: skip
SCORERS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("as_expected", "similarity", {"expected_field": "expected", "of": "part", "threshold": 0.85}),
    ("no_refusal", "refusal", {}),
    ("good_length", "length", {"min": 2, "max": 600}),
    ("answered", "not_empty", {}),
)
_START_SECONDS = 120.0


async def score_sample(service: Service) -> int:
    """Import the sample, score it with four scorers and show the result; the exit code."""
    async with Client(service, on_wait=note) as client:
        await client.until_ready(_START_SECONDS)
        with as_file(files("app.sample") / "calls.jsonl") as path:
            source = Source.open(str(path))
            models = {row["id"]: row["model"] for row in map(orjson.loads, path.read_bytes().splitlines())}
            imported = await Import(client, source, FIELDS).run()
            source.close()
        say(f"Sample: {plural(imported.imported, 'call')} of {len(set(models.values()))} models in {PROJECT}.")
        refs = [(await publish(client, name, kind, params, PROJECT))["ref"] for name, kind, params in SCORERS]
        started = time.monotonic()
        request_id = await requests.submit(client, PROJECT, list(models), refs)
        finished = await requests.watch(client, [request_id])
        say(f"{requests.summary(finished, time.monotonic() - started)}.")
        found = [score async for score in client.items("/scores", {"project_id": PROJECT})]
    say("")
    table(*comparison(found, models, refs))
    say("")
    for line in next_steps(service):
        say(line)
    return 1 if requests.total(finished)["failed"] else 0


def comparison(
    found: Sequence[dict[str, Any]], models: dict[str, str], refs: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: a scorer a row, a model a column, in each cell the pass rate or the mean score."""
    columns = sorted(set(models.values()))
    cells: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for score in found:
        model = models.get(score["call_id"])
        if model is not None:
            cells[score["scorer_ref"], model].append(score)
    rows = []
    for ref, (name, _, _) in zip(refs, SCORERS, strict=True):
        of_scorer = [cells[ref, model] for model in columns]
        measure = "passed" if any(scores.passed(score) is not None for cell in of_scorer for score in cell) else "mean"
        rows.append([name, measure, *map(_cell, of_scorer)])
    return ["SCORER", "SHOWN", *columns], rows


def _cell(found: Sequence[dict[str, Any]]) -> str:
    good = [score for score in found if score["status"] == "succeeded"]
    failed = f", {len(found) - len(good)} failed" if len(good) < len(found) else ""
    verdicts = [verdict for verdict in map(scores.passed, good) if verdict is not None]
    if verdicts:
        return f"{sum(verdicts) / len(verdicts):.0%}{failed}"
    values = [value for value in map(scores.value, good) if value is not None]
    return f"{sum(values) / len(values):.2f}{failed}" if values else f"-{failed}"


def next_steps(service: Service) -> list[str]:
    """How to score calls of one's own, in three commands that can be copied."""
    command = _command()
    at = "" if service.url == DEFAULT_URL else f" --url {service.url}"
    return [
        "The service stays up. To score calls of your own (JSON lines), in another terminal:",
        f"  {command} calls import FILE.jsonl --project me/mine --output answer{at}",
        f"  {command} submit --project me/mine --scorer refusal --scorer not_empty{at}",
        f"  {command} scores --project me/mine{at}",
        f"In a browser: {service.url}/ and {service.url}/docs",
    ]


def _command() -> str:
    """The command as the user can type it here."""
    if shutil.which("callscore"):
        return "callscore"
    beside = Path(sys.executable).parent / "callscore"
    return os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside)
