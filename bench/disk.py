"""The size on disk of each topic of an embedded log, and of each table of a worker."""

import tempfile
from collections import Counter
from pathlib import Path

from rocksdict import Rdict

from app.embedded.store import database_options
from app.embedded.view import View
from bench import machine


def topics(log: Path) -> dict[str, int]:
    """Compressed bytes of each topic of a log that is not in use.

    All topics share the log's files, so each is copied to a database of its own with the same options.
    """
    with View(log) as view:
        return {name: _size(view, name) for name in sorted(view.topics)}


def _size(view: View, topic: str) -> int:
    with tempfile.TemporaryDirectory(prefix="callscore-bench-") as folder:
        copy = Rdict(folder, database_options())
        empty = True
        for partition in view.topics[topic].partitions:
            for key, value in view.scan(partition.prefix, partition.prefix):
                copy.put(key, value)
                empty = False
        copy.flush()
        copy.compact_range(None, None)
        copy.close()
        return 0 if empty else machine.disk_bytes(Path(folder), "*.sst")


def tables(data_dir: Path) -> dict[str, int]:
    """Bytes of each table in all partitions, without RocksDB's info logs, which grow all the time."""
    found: Counter[str] = Counter()
    for folder in data_dir.glob("instance-*/tables/*.db"):
        name = folder.name.removesuffix(".db").rsplit("-", 1)[0]
        found[name] += sum(machine.disk_bytes(folder, kind) for kind in ("*.sst", "*.log"))
    return dict(sorted(found.items()))
