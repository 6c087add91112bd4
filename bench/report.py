"""Results as JSON for machines and Markdown for people, in bench/results."""

import json
from collections.abc import Mapping
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def save(name: str, results: Mapping[str, object]) -> None:
    """Write results/{name}.json and .md, and print the latter."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=2) + "\n")
    text = markdown(results)
    (RESULTS / f"{name}.md").write_text(text)
    print(text)


def markdown(results: Mapping[str, object]) -> str:
    """A list of rows becomes a table under its name, anything else a line."""
    tables = [table(name, rows) for name, rows in results.items() if isinstance(rows, list)]
    others = [f"- {name}: {value}" for name, value in results.items() if not isinstance(value, list)]
    return "\n".join([*tables, *others, ""])


def table(name: str, rows: list[dict[str, object]]) -> str:
    """The rows, which all have the same columns."""
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    lines += ["| " + " | ".join(str(value) for value in row.values()) + " |" for row in rows]
    return "\n".join([f"## {name}", "", *lines, ""])
