"""The one Settings model, filled from CALLSCORE_* environment variables."""

from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "CALLSCORE_"


class SettingsError(Exception):
    """A setting is wrong; the message is one sentence that says which and why."""


class Settings(BaseSettings):
    """What can be set from outside; times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    broker: str = Field("embedded://", description="embedded:// or embedded:///path, or kafka://host:port.")
    data_dir: Path = Field(Path("data"), description="Tables, and the embedded log unless the broker names a path.")
    web_host: str = Field("127.0.0.1", description="Address that the HTTP server binds to.")
    web_port: int = Field(6066, ge=0, le=65535, description="Port of the HTTP server.")
    partitions: int = Field(8, ge=1, le=1024, description="Partitions of every topic; fixed for the life of a log.")
    api_keys: Path | None = Field(None, description="File of hashed API keys; without it anyone on loopback may call.")
    providers: Path | None = Field(None, description="File that names LLM endpoints.")
    scorers: Annotated[tuple[str, ...], NoDecode] = Field((), description="Modules with scorers, comma-separated.")
    scorer_timeout: float = Field(30.0, gt=0, description="A scorer that runs longer is stopped.")
    scorer_attempts: int = Field(3, ge=1, description="Attempts before a task that keeps failing is failed.")
    call_wait: float = Field(600.0, ge=0, description="How long a task waits for a call that is not there yet.")
    concurrency: int = Field(2000, ge=1, description="Tasks in flight on one worker.")
    scorer_concurrency: int = Field(500, ge=1, description="Tasks of one scorer in flight on one worker.")
    log_level: str = Field("WARNING", description="DEBUG, INFO, WARNING or ERROR.")

    @field_validator("scorers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("broker")
    @classmethod
    def _known_broker(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("embedded", "kafka"):
            raise ValueError("must start with embedded:// or kafka://")
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @model_validator(mode="after")
    def _without_keys_only_loopback(self) -> Self:
        if self.api_keys is None and not is_loopback(self.web_host):
            raise ValueError(
                f"{PREFIX}WEB_HOST={self.web_host} is open to others, so {PREFIX}API_KEYS must name a key file "
                "(make one with: callscore keys add)"
            )
        if self.api_keys is not None and not self.api_keys.is_file():
            raise ValueError(
                f"{PREFIX}API_KEYS names {self.api_keys}, which is not a file (make one with: callscore keys add)"
            )
        return self

    @property
    def embedded(self) -> bool:
        return urlsplit(self.broker).scheme == "embedded"

    @property
    def broker_url(self) -> str:
        """The broker as Faust takes it: an embedded one always with its path."""
        if self.embedded and not urlsplit(self.broker).path:
            return f"embedded://{(self.data_dir / 'log').absolute()}"
        return self.broker


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The process's settings, read once.

    Raises:
        SettingsError: with one sentence, when a variable is wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if first["loc"]:
            message = f"{PREFIX}{str(first['loc'][0]).upper()}={first['input']!r}: {message}"
        raise SettingsError(message) from None
