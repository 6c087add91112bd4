"""Where the log and the tables of the settings are on disk."""

from pathlib import Path

from app import instance
from app.client.errors import BadInput, CommandError
from app.settings import Settings, get_settings


def log_path(settings: Settings) -> Path:
    """The directory of the embedded log. Raises BadInput if the log is in Kafka."""
    if not settings.embedded:
        raise BadInput(
            "CALLSCORE_BROKER names Kafka. Of these commands only export and import work with Kafka; "
            "use Kafka's own tools for the rest."
        )
    return settings.log_path


def log_at(directory: Path | None) -> Path:
    """The directory of an embedded log: of the settings, unless another is named. Raises as `log_path`."""
    return directory or log_path(get_settings())


def check_no_tables(settings: Settings) -> None:
    """Check that the data directory has no tables: they would belong to another log than the one to be made.

    Raises:
        CommandError: it has some.
    """
    for folder in instance.folders(settings.data_dir):
        if any(folder.glob("tables/*")):
            raise CommandError(
                f"{folder.absolute()} contains the tables of another log. "
                f"Delete {settings.data_dir.absolute()}/instance-*, or set another CALLSCORE_DATA_DIR, and try again."
            )
