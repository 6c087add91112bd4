"""How many calls or scores were moved, and which were refused."""

from collections.abc import Iterable
from dataclasses import dataclass

from app.client.complaints import MAX_COMPLAINTS
from app.client.output import note
from app.client.text import clean


@dataclass
class Counts:
    """Notes the first few that are refused."""

    moved: int = 0
    refused: int = 0

    def add(self, sent: int, refused: Iterable[tuple[str, str]]) -> None:
        """Add a batch: how many were sent, and the names of the refused ones with why."""
        self.moved += sent
        for name, reason in refused:
            self.moved -= 1
            self.refused += 1
            if self.refused <= MAX_COMPLAINTS:
                note(f"{clean(name, 200)}: {clean(reason, 500)}")
