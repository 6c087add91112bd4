"""What aiokafka logs. While Kafka is away it repeats the same messages a hundred times a second."""

import logging
import time

EVERY = 10.0  # seconds


class RateLimited(logging.Handler):
    """Hands each warning and error to the root logger at most once in `EVERY` seconds, whatever its arguments are."""

    def __init__(self) -> None:
        super().__init__()
        self._next: dict[tuple[str, int], float] = {}  # by file and line, which are few, unlike texts

    def emit(self, record: logging.LogRecord) -> None:
        now, place = time.monotonic(), (record.pathname, record.lineno)
        if record.levelno < logging.WARNING or self._next.get(place, now) <= now:
            self._next[place] = now + EVERY
            logging.root.handle(record)


def limit_repeats() -> None:
    """Have all loggers of aiokafka log through `RateLimited`."""
    logger = logging.getLogger("aiokafka")
    logger.handlers = [RateLimited()]  # a filter of this logger would not see what its children log
    logger.propagate = False
