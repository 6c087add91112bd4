"""The settings of the service, for commands that use them themselves."""

from typing import TYPE_CHECKING

from app.client.errors import BadInput

if TYPE_CHECKING:
    from app.settings import Settings


def checked_settings() -> "Settings":
    """The settings. Raises BadInput if a variable is wrong."""
    from app.settings import SettingsError, get_settings

    try:
        return get_settings()
    except SettingsError as error:
        raise BadInput(str(error)) from None
