"""Errors are worded for a command, not for a service."""

from pathlib import Path

import pytest

from app.client.errors import CommandError
from app.embedded.errors import LogFailed
from app.upkeep.errors import as_command_errors


def test_a_command_on_a_full_disk_does_not_say_that_it_goes_on_by_itself() -> None:
    with pytest.raises(CommandError, match="No space left") as ended, as_command_errors():
        raise LogFailed(Path("log"), OSError("No space left on device"))
    assert str(ended.value).endswith("Check its disk and try again.")
