"""How the C library keeps memory that was freed: glibc's defaults keep a fourth of what a worker has."""

import ctypes

# From malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

# What is larger is given back at once, such as the pieces of the log's write buffer. By default that grows to 32 MiB;
# from 64 KiB on it would cost 3 µs a task, since each page is cleared anew.
MAPPED_BYTES = 1024**2
KEPT_BYTES = 16 * 1024**2  # at the end of the heap, lest it shrinks and grows all the time
ARENAS = 2  # each keeps what is free in it to itself


def tune() -> None:
    """Give back what is freed, where the C library can be told to."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_ARENA_MAX, ARENAS)
