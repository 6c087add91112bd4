"""Every event carries its schema version; what a released version wrote is read by this one, and means the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from app import events, topics
from app.upkeep import export_file
from tables import folds
from tests import released
from tests.brokers import embedded_only

VERSIONS = sorted(path.parent for path in released.FOLDER.glob("*/log.jsonl"))
BY_TOPIC = {topics.plain(topic.name): fold for topic, fold in folds.BY_TOPIC.items()}
each_version = pytest.mark.parametrize("kept", VERSIONS, ids=lambda folder: folder.name)


def vocabulary() -> set[str]:
    """The types of all events."""
    found, known = set(), [events.Event]
    while known:
        known += (one := known.pop()).__subclasses__()
        if one.__module__ == events.__name__ and one.__name__ not in ("Event", "TaskEvent", "TaskWaits"):
            found.add(one.__name__)
    return found


def raw_events(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """(topic, event) of all that lies in a kept log, those within records included."""
    found = []
    with export_file.reading(folder / "log.jsonl") as export:
        for record in export.records():
            event = json.loads(record.value or b"")
            found += [(record.topic, one) for one in (event, *event.get("events", ()))]
    return found


def test_this_version_has_kept_what_it_writes() -> None:
    assert released.folder_of_this_version() in VERSIONS, "write it with: python -m tests.released"


@each_version
def test_every_event_of_a_kept_log_has_a_version(kept: Path) -> None:
    assert all(isinstance(event["v"], int) and event["type"] for _, event in raw_events(kept))


def test_every_event_type_is_in_what_this_version_keeps() -> None:
    assert {event["type"] for _, event in raw_events(released.folder_of_this_version())} == vocabulary()


@each_version
def test_no_field_of_a_released_version_is_lost_when_it_is_read(kept: Path) -> None:
    number = 0
    with export_file.reading(kept / "log.jsonl") as export:
        for record in export.records():
            event = BY_TOPIC[record.topic].decode(record.value)
            assert_within(without_nothing(json.loads(record.value or b"")), json.loads(event.encode()))
            number += 1
    assert number > 0


def without_nothing(event: Any) -> Any:
    """What an event says, but not what is null or 0 of an error and of what was spent, which may be left out."""
    if isinstance(event, dict):
        few = event.keys() & {"requests", "traceback"}  # of what was spent, of an error
        kept = {name: value for name, value in event.items() if not few or value not in (None, 0)}
        return {name: without_nothing(value) for name, value in kept.items()}
    return [without_nothing(one) for one in event] if isinstance(event, list) else event


def assert_within(old: Any, new: Any) -> None:
    """All that the old one says the new one says too, and maybe more."""
    if isinstance(old, dict):
        assert old.keys() <= new.keys()
        for name, value in old.items():
            assert_within(value, new[name])
    elif isinstance(old, list):
        assert len(old) <= len(new)
        for one, other in zip(old, new, strict=False):
            assert_within(one, other)
    else:
        assert old == new


@embedded_only
@each_version
def test_a_service_on_the_log_of_a_released_version_answers_as_that_did(
    kept: Path, tmp_path: Path, broker: Any
) -> None:
    service = released.load(kept, tmp_path / "data")
    try:
        service.start()
        then = json.loads((kept / "answers.json").read_text())
        now = released.answers(service)
        assert_within(then, now)
        assert {name: len(found) for name, found in now.items()} == {name: len(found) for name, found in then.items()}
    finally:
        service.kill()
