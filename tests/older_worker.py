"""A worker of a version from before requests had chunks: it cannot read them, as no version can read later events."""

import sys

from pydantic import TypeAdapter

from app.events import RequestAccepted, RequestClaimed
from app.worker import run
from tables import folds

known: TypeAdapter[RequestClaimed | RequestAccepted] = TypeAdapter(RequestClaimed | RequestAccepted)
object.__setattr__(folds.SCORE_REQUESTS, "parse", known.validate_json)

if __name__ == "__main__":
    sys.exit(run())
