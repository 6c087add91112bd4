"""A ref never changes its meaning: what a published judge asks, and how it is read, is of one version of its code."""

import json

from tests.unit.judges.framing import FILE, framing, version

KEEP = "after a change on purpose: python -m tests.unit.judges.framing"


async def test_what_judges_ask_and_how_they_are_read_is_as_it_was_kept() -> None:
    assert await framing() == json.loads(FILE.read_text())["framing"], KEEP


def test_the_framing_was_kept_of_this_version_of_the_code() -> None:
    kept = json.loads(FILE.read_text())["version"]
    assert version() == kept, f"refs of judges that were published before run no more with this code; {KEEP}"
