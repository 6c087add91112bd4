"""What the topics of an embedded log and the tables of a worker take on disk, one by one."""

import tempfile
from collections import Counter
from pathlib import Path

from rocksdict import Rdict

from app.embedded.store import database_options
from app.embedded.view import View
from bench import machine


def topics(log: Path) -> dict[str, int]:
    """Bytes of each topic of a log that nobody uses, compressed.

    All topics share the log's files, so each is copied into files of its own, which are made as the log's are.
    """
    with View(log) as view:
        return {name: _alone(view, name) for name in sorted(view.topics)}


def _alone(view: View, topic: str) -> int:
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
    """Bytes of each table, all partitions; RocksDB's own notes, which grow all the time, left out."""
    found: Counter[str] = Counter()
    for folder in data_dir.glob("instance-*/tables/*.db"):
        name = folder.name.removesuffix(".db").rsplit("-", 1)[0]
        found[name] += sum(machine.disk_bytes(folder, kind) for kind in ("*.sst", "*.log"))
    return dict(sorted(found.items()))
