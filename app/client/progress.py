"""Progress on stderr: a bar on a terminal, otherwise a line every few seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from app.client.output import note, stderr

_SECONDS_BETWEEN_LINES = 5.0


class Bar(Protocol):
    """Shows the progress of some work."""

    def show(self, done: float, total: float | None, text: str) -> None:
        """Show `done` of `total` (None: unknown), in any unit, and a text."""


class _Drawn:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def show(self, done: float, total: float | None, text: str) -> None:
        self._progress.update(self._task, completed=done, total=total, text=text)


class _Lines:
    def __init__(self, label: str) -> None:
        self._label = label
        self._next = time.monotonic() + _SECONDS_BETWEEN_LINES

    def show(self, done: float, total: float | None, text: str) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
            note(f"{self._label}: {text}")


@contextmanager
def bar(label: str) -> Iterator[Bar]:
    """A bar while the block runs."""
    console = stderr()
    if not console.is_terminal:
        yield _Lines(label)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True, refresh_per_second=5) as progress:
        yield _Drawn(progress, progress.add_task(label, total=None, text=""))
