"""A worker of a version from before requests had chunks: it cannot read them, as no version can read later events."""

import sys

from msgspec.json import Decoder

from app.events import RequestAccepted, RequestClaimed
from app.worker import run
from tables import folds

object.__setattr__(folds.SCORE_REQUESTS, "parse", Decoder(RequestClaimed | RequestAccepted).decode)

if __name__ == "__main__":
    sys.exit(run())
