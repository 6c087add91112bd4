"""Where the log and the tables of the settings lie."""

from pathlib import Path

from app.client.errors import BadInput, CommandError
from app.settings import Settings


def log_path(settings: Settings) -> Path:
    """The directory of the embedded log. Raises BadInput if the log is Kafka's."""
    if not settings.embedded:
        raise BadInput(
            "CALLSCORE_BROKER names Kafka, whose own tools look after its log: "
            "of these commands only export and import work on it."
        )
    return settings.log_path


def check_no_tables(settings: Settings) -> None:
    """Return if no tables lie in the data directory: they would be of another log than the one to be made.

    Raises:
        CommandError: otherwise.
    """
    for folder in sorted(settings.data_dir.glob("instance-*")):
        if any(folder.glob("tables/*")):
            raise CommandError(
                f"{folder.absolute()} has the tables of another log: delete {settings.data_dir.absolute()}/instance-*, "
                "or name another CALLSCORE_DATA_DIR, and import again."
            )
