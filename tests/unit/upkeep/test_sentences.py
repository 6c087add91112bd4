"""What ends a command is said of the command, not of a service."""

from pathlib import Path

import pytest

from app.client.errors import CommandError
from app.embedded.errors import LogFailed
from app.upkeep.errors import sentences


def test_a_command_on_a_full_disk_does_not_say_that_it_goes_on_by_itself() -> None:
    with pytest.raises(CommandError, match="No space left") as ended, sentences():
        raise LogFailed(Path("log"), OSError("No space left on device"))
    assert str(ended.value).endswith("see to its disk, then try again.")
