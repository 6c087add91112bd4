"""Between which workers this one divides the limits of providers: what others ask before they take a larger share."""

_workers: frozenset[str] = frozenset()


def divide_between(workers: frozenset[str]) -> None:
    """From now on this worker takes at most its part among these (their urls)."""
    global _workers
    _workers = workers


# --- queries -------------------------------------------------------------------------------------


def workers(partition: int) -> list[str]:
    """The workers between which this one divides; any of its partitions may be asked."""
    return sorted(_workers)
