"""What commands print: results to stdout, everything else to stderr."""

import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from app.client.text import clean, json_line

Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # headings and rows

_WIDE = 100_000
_GAP = 2
_NARROWEST = 12


@cache
def stdout() -> Console:
    """The console for results; without a terminal nothing is coloured, wrapped or cut."""
    return _console(sys.stdout.isatty(), stderr=False)


@cache
def stderr() -> Console:
    """The console for progress, notes and errors."""
    return _console(sys.stderr.isatty(), stderr=True)


def _console(terminal: bool, *, stderr: bool) -> Console:
    return Console(
        stderr=stderr,
        force_terminal=terminal,
        width=None if terminal else _WIDE,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=True,
    )


def print_line(line: str) -> None:
    """Print one line of a result."""
    stdout().print(Text(line))


def print_json(value: Any) -> None:
    """Print a result as one line of JSON."""
    sys.stdout.write(f"{json_line(value)}\n")


def print_all(values: Iterable[Any]) -> None:
    """Print a list of results, each as one line of JSON."""
    for value in values:
        print_json(value)


def note(line: str) -> None:
    """Print one line for people to stderr."""
    stderr().print(Text(line))


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = (), fold: bool = False
) -> None:
    """Print a table. On a terminal the last column gets the remaining width and is cut, or folded, to fit.

    If the other columns do not fit, all are folded, since half an id is of no use.
    """
    console = stdout()
    shown = [clean(heading) for heading in headings]
    cells = [[Text("\n".join(clean(line) for line in cell.split("\n"))) for cell in row] for row in rows]
    grid = Grid(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    widths = [
        max(cell_len(line) for text in [heading, *(row[number].plain for row in cells)] for line in text.split("\n"))
        for number, heading in enumerate(shown)
    ]
    room = console.width - sum(widths[:-1]) - _GAP * len(widths[:-1])
    tight = room < max(cell_len(shown[-1]), min(widths[-1], _NARROWEST) if fold else 0)
    for number, heading in enumerate(shown):
        last = number == len(shown) - 1
        grid.add_column(
            heading,
            justify="right" if headings[number] in right else "left",
            no_wrap=not (tight or (last and fold)),
            overflow="fold" if tight or fold or not last else "ellipsis",
            min_width=None if tight else cell_len(heading),
            max_width=max(room, _NARROWEST) if last and not tight else None,
        )
    for row in cells:
        grid.add_row(*row)
    with console.capture() as captured:
        console.print(grid, soft_wrap=False)
    # Rich fills every line with spaces up to the width of the table.
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    sys.stdout.flush()


def fitting_table(tables: Sequence[Table]) -> None:
    """Print the first table whose columns fit on the terminal, with their words whole, else the last."""
    headings, rows = next((one for one in tables if _fits(*one)), tables[-1])
    table(headings, rows, fold=True)


def _fits(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    columns = zip(headings, *rows, strict=True)
    longest = [max(cell_len(word) for cell in column for word in clean(cell).split() or [""]) for column in columns]
    return sum(longest) + _GAP * (len(longest) - 1) <= stdout().width
