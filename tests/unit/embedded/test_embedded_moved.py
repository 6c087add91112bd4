"""A log that an earlier version kept elsewhere is reported, so that no new one is started in its place."""

from pathlib import Path

import pytest

from app.embedded import moved
from app.embedded.errors import LogElsewhere
from app.embedded.log import Log


async def make(path: Path, *values: bytes) -> None:
    log = Log(path)
    log.create_topic("calls", 2)
    for value in values:
        await log.append("calls", 1, None, value)
    await log.close()


@pytest.mark.parametrize(
    ("named", "before"), [("a,b", "a"), ("a;b", "a"), ("a#b", "a"), ("a?b", "a"), ("%41 %", "A %/log")]
)
@pytest.mark.parametrize("left", [False, True], ids=["nothing", "topics"])
async def test_a_log_where_earlier_versions_kept_it_is_told_until_it_is_moved(
    tmp_path: Path, named: str, before: str, left: bool
) -> None:
    path, kept = tmp_path / named / "log", tmp_path / before
    moved.check(path)
    if left:
        await make(path)
        moved.check(path)
    await make(kept, b"of before")
    with pytest.raises(LogElsewhere) as told:
        moved.check(path)
    assert f"no records at {path}, but a log at {kept}, where" in str(told.value)
    await make(path, b"moved")
    moved.check(path)


@pytest.mark.parametrize("named", ["a", "a b", "\u00e9{x}", "100%"])
async def test_a_log_that_lay_in_the_right_place_is_never_told(tmp_path: Path, named: str) -> None:
    await make(tmp_path / named)
    moved.check(tmp_path / named)
