"""How a worker ends when it must not go on: at once and without committing, since everything owed is in the log."""

import logging
import os
from typing import NoReturn

EXIT_FAILED = 1
EXIT_HOPELESS = 2  # its settings do not fit, or its log is damaged: starting it again will not help
EXIT_LOST_SEND = 70
EXIT_UNSYNCED = 74  # it is unknown what the disk kept: a restart reads what is there
EXIT_STUCK = 75  # starting it again may help


def die(code: int) -> NoReturn:
    """End the process as a kill would."""
    logging.shutdown()
    os._exit(code)
