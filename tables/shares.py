"""Memory shared by agents of all workers: between which workers each divides the limits of providers.

A worker asks the others before it takes a larger share.
"""

_workers: frozenset[str] = frozenset()


def divide_between(workers: frozenset[str]) -> None:
    """From now on this worker takes at most its share among these (their urls)."""
    global _workers
    _workers = workers


# --- queries -------------------------------------------------------------------------------------


def workers(partition: int) -> list[str]:
    """The workers between which this one divides; any of its partitions may be asked."""
    return sorted(_workers)
