"""Tunes how the C library keeps freed memory: with glibc's defaults that is a fourth of a worker's memory."""

import ctypes

# From malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

# Larger blocks are given back at once, such as those of the log's write buffer. By default the threshold grows to
# 32 MiB; 64 KiB would cost 3 µs a task, since each page is cleared again.
MAPPED_BYTES = 1024**2
KEPT_BYTES = 16 * 1024**2  # at the end of the heap, so that it does not shrink and grow all the time
ARENAS = 2  # none uses what is free in another


def tune() -> None:
    """Give back freed memory, if the C library can be tuned."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_ARENA_MAX, ARENAS)
