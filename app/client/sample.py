"""The bundled sample: importing it, scoring it, and showing the results."""

import os
import shutil
import sys
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import orjson

from app.client import requests, summary, tasks
from app.client.defaults import DEFAULT_URL
from app.client.fields import Fields
from app.client.http import Client, Service
from app.client.importing import Import
from app.client.lines import Source
from app.client.output import note, print_line, table
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
    """Import the sample, score it with four scorers and show the result. Returns the exit code."""
    async with Client(service, on_wait=note) as client:
        await client.until_ready(_START_SECONDS)
        with as_file(files("app.sample") / "calls.jsonl") as path:
            source = Source.open(str(path))
            models = {row["id"]: row["model"] for row in map(orjson.loads, path.read_bytes().splitlines())}
            imported = await Import(client, source, FIELDS).run()
            source.close()
        print_line(f"Sample: {plural(imported.imported, 'call')} of {len(set(models.values()))} models in {PROJECT}.")
        refs = [(await publish(client, name, kind, params, PROJECT))["ref"] for name, kind, params in SCORERS]
        started = time.monotonic()
        request_id = await requests.submit(client, PROJECT, list(models), refs)
        finished = await requests.watch(client, [request_id])
        print_line(f"{tasks.summary(finished, time.monotonic() - started)}.")
        found = await summary.fetch(client, PROJECT, by="attributes.model")
    print_line("")
    table(*summary.comparison([item for ref in refs for item in found if item["scorer_ref"] == ref]), fold=True)
    print_line("")
    for line in next_steps(service):
        print_line(line)
    return 1 if tasks.total(finished)["failed"] else 0


def next_steps(service: Service) -> list[str]:
    """How to score calls of your own, as commands to copy."""
    command = _command()
    at = "" if service.url == DEFAULT_URL else f" --url {service.url}"
    return [
        "The service keeps running. To score your own calls (JSON lines), run in another terminal:",
        f"  {command} calls import FILE.jsonl --project me/mine --output answer{at}",
        f"  {command} submit --project me/mine --scorer refusal --scorer not_empty{at}",
        f"  {command} scores --project me/mine --summary{at}",
        f"In a browser: {service.url}/ and {service.url}/docs",
    ]


def _command() -> str:
    """The command as it can be typed here."""
    if shutil.which("callscore"):
        return "callscore"
    beside = Path(sys.executable).parent / "callscore"
    return os.path.relpath(beside) if beside.is_relative_to(Path.cwd()) else str(beside)
