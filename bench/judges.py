"""`python -m bench.judges [--kafka] [calls.jsonl.gz]`: 1,000 calls judged by one that takes 200 ms, 200 at a time.

The calls are lines with `instruction` and `output`, or made here. The judge is a real HTTP server in another process.
With --kafka on a real Kafka, as `python -m bench` has it.
"""

import argparse
import asyncio
import gzip
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import uvloop

from bench import load, machine, report
from bench.judge import PromptJudge
from bench.stage import stage
from bench.workers import Workers
from kafka.cluster import Cluster
from tests.judge import KEY
from tests.judging import NUMBER, bill
from tests.service import Service

CALLS, AT_ONCE, SECONDS = 1000, 200, 0.2
PROMPT = "Is this a good answer?\n{output}\nTo this:\n{instruction}"


def serve(folder: Path) -> None:
    """Be the judge, until stdin ends; then say what it counted."""
    judge = PromptJudge(SECONDS)
    uvloop.run(judge.serve(folder, AT_ONCE))
    print(json.dumps({**bill(judge), "most_at_once": judge.most_at_once, "latest": judge.latest}), flush=True)


def calls_of(path: str | None) -> list[dict[str, Any]]:
    if path is None:
        return [{"instruction": f"question {n}?", "output": f"answer {n} ".ljust(1024, "x")} for n in range(CALLS)]
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in islice(file, CALLS)]


def log(service: Service, prefix: str, calls: list[dict[str, Any]]) -> list[str]:
    ids = [f"{prefix}-{n}" for n in range(len(calls))]
    rows = [
        {"id": call_id, "inputs": {"instruction": call["instruction"]}, "output": call["output"]}
        for call_id, call in zip(ids, calls, strict=True)
    ]
    for first in range(0, len(rows), 250):
        service.log_calls(load.PROJECT, rows[first : first + 250])
    return ids


def measure(kafka: Cluster | None, folder: Path, path: str | None) -> dict[str, object]:
    command = [sys.executable, "-m", "bench.judges", "serve", str(folder)]
    judge = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert judge.stdin is not None
    assert judge.stdout is not None
    assert judge.stdout.readline() == "ready\n"
    workers = Workers(kafka, folder, providers=folder / "providers.toml")
    [service] = workers.all
    service.extra_environment = {"JUDGE_KEY": KEY}
    try:
        workers.start()
        params = {"provider": "local", "model": "judge-1", "prompt": PROMPT, "scale": NUMBER}
        published = service.post("/scorers", {"name": "good", "kind": "llm_judge", "params": params})
        calls = calls_of(path)
        _, first = asyncio.run(load.score(service, log(service, "first", calls[:AT_ONCE]), [published.json["ref"]]))
        ids = log(service, "call", calls)
        before = machine.cpu_seconds(service.pid), machine.cpu_seconds(judge.pid)
        counted, request = asyncio.run(load.score(service, ids, [published.json["ref"]], pause=0.1))
        used, by_judge = machine.cpu_seconds(service.pid) - before[0], machine.cpu_seconds(judge.pid) - before[1]
    finally:
        workers.kill()
        told = json.loads(judge.communicate("")[0])
    seconds = load.seconds_of(request)
    ideal = CALLS / AT_ONCE * SECONDS
    costs = [first["cost"], request["cost"]]
    names = ("requests", "input_tokens", "output_tokens")
    return {
        "machine": machine.facts(),
        "succeeded": request["tasks"]["succeeded"],
        "seconds": round(seconds, 3),
        "share_of_the_ideal_rate": round(ideal / seconds, 3),
        "seconds_until_a_client_that_asks_every_100_ms_is_told": round(counted, 3),
        "cpu_ms_per_judgement": round(used / CALLS * 1000, 2),
        "judges_own_cpu_ms": round(by_judge / CALLS * 1000, 2),
        "judge_late_ms_at_most": round(told["latest"] * 1000, 1),
        "most_at_once": told["most_at_once"],
        "bill_is_the_judges": all(sum(cost[name] for cost in costs) == told[name] for name in names)
        and abs(sum(cost["usd"] for cost in costs) - told["usd"]) < 1e-12,
    }


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(prog="python -m bench.judges", description=__doc__)
    parser.add_argument("calls", nargs="?", help="lines with `instruction` and `output`; made here by default")
    parser.add_argument("--kafka", action="store_true", help="on a Kafka of one broker")
    options = parser.parse_args()
    with stage(options.kafka) as (kafka, folder):
        results = measure(kafka, folder, options.calls)
    report.save("kafka-judges" if options.kafka else "judges", results)


if __name__ == "__main__":
    main()
