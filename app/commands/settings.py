"""The settings of the service, for commands that need them."""

from app.client.errors import BadInput
from app.settings import Settings, SettingsError, get_settings


def checked_settings() -> Settings:
    """The settings. Raises BadInput if a variable is invalid."""
    try:
        return get_settings()
    except SettingsError as error:
        raise BadInput(str(error)) from None
