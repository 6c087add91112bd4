"""Results in bench/results, as JSON and as Markdown."""

import json
from collections.abc import Mapping
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def save(name: str, results: Mapping[str, object]) -> None:
    """Write results/{name}.json and .md, and print the Markdown."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n")
    text = markdown(results)
    (RESULTS / f"{name}.md").write_text(text)
    print(text)


def markdown(results: Mapping[str, object]) -> str:
    """A list of rows becomes a table with a heading; any other value a line, or one for each of its values."""
    tables = [table(name, rows) for name, rows in results.items() if isinstance(rows, list) and rows]
    others = [line for name, value in results.items() if not isinstance(value, list) for line in lines(name, value)]
    return "\n".join([*tables, *others, ""])


def lines(name: str, value: object) -> list[str]:
    if isinstance(value, dict):
        return [line for inner, found in value.items() for line in lines(f"{name}: {inner}", found)]
    return [f"- {name}: {value}"]


def table(name: str, rows: list[dict[str, object]]) -> str:
    """The rows, which all have the same columns."""
    head = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    body = ["| " + " | ".join(str(value) for value in row.values()) + " |" for row in rows]
    return "\n".join([f"## {name}", "", *head, *body, ""])
