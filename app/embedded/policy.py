"""How a topic is cleaned by its config, under Kafka's names."""

from collections.abc import Mapping
from typing import Any, NamedTuple

DAY_MS = 24 * 3600 * 1000


class Policy(NamedTuple):
    """How a topic is cleaned. A negative limit means none, and an empty config means that all records are kept.

    - `cleanup.policy`: `compact` keeps the newest record of each key, `delete` drops the oldest; or both, with a comma.
    - `retention.ms`, `retention.bytes`: with `delete`, the greatest age of a record, and size of a partition. No topic
      of callscore has these: primary topics are kept for ever, and changelogs are compacted.
    - `delete.retention.ms`: with `compact`, how long a tombstone stays after a cleaning first read it (a day).
    """

    compact: bool
    retention_ms: int
    retention_bytes: int
    delete_retention_ms: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Policy":
        """The policy of a topic with this config."""
        names = {name.strip() for name in str(config.get("cleanup.policy", "")).split(",")}
        deletes = "delete" in names
        return cls(
            "compact" in names,
            int(config.get("retention.ms", -1)) if deletes else -1,
            int(config.get("retention.bytes", -1)) if deletes else -1,
            int(config.get("delete.retention.ms", DAY_MS)),
        )

    @property
    def deletes(self) -> bool:
        """Whether the oldest records are removed."""
        return self.retention_ms >= 0 or self.retention_bytes >= 0
