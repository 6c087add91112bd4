"""Providers that scorers send requests to, with their limits and prices: the file that CALLSCORE_PROVIDERS names.

[local]
base_url = "http://127.0.0.1:8000/v1"
key = "LOCAL_API_KEY"                 # the environment variable that has the key
limits = { concurrency = 20, requests_per_minute = 600, tokens_per_minute = 100000 }
prices.small = { input = 0.1, output = 0.4 }   # of the model `small`: USD for a million tokens
"""

import os
import re
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from yarl import URL


class Limits(BaseModel):
    """How much may be asked of something at once and in a minute, by all workers together; None is no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    concurrency: int | None = Field(None, ge=1, description="Attempts at a time.")
    requests_per_minute: float | None = Field(None, gt=0, description="Attempts begun in any minute.")
    tokens_per_minute: float | None = Field(None, gt=0, description="Tokens of the attempts begun in any minute.")


class Price(BaseModel):
    """What a model costs: USD for a million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    input: float = Field(ge=0)
    output: float = Field(ge=0)


_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")


class Provider(BaseModel):
    """One provider. `key` names the environment variable that has its key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    key: str | None = None
    limits: Limits = Limits()
    prices: dict[str, Price] = {}

    @field_validator("base_url")
    @classmethod
    def _is_a_url(cls, text: str) -> str:
        url = URL(text)
        if url.scheme not in ("http", "https") or not url.host or url.user is not None:
            raise ValueError("base_url must be an http:// or https:// url, without user and password")
        return text

    @field_validator("key")
    @classmethod
    def _is_a_name(cls, text: str | None) -> str | None:
        if text is not None and not _VARIABLE.fullmatch(text):
            raise ValueError("key is the name of an environment variable, such as MY_KEY, and not the key itself")
        return text

    @property
    def api_key(self) -> str | None:
        """The key itself; None if there is none."""
        return None if self.key is None else os.environ.get(self.key)


_providers = TypeAdapter(dict[str, Provider])


def read(path: Path) -> dict[str, Provider]:
    """The providers of a file, by name.

    Raises:
        ValueError: it cannot be read, or has something unknown in it; the message is one sentence.
    """
    try:
        return _providers.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"in {path}, {where}: {first['msg']}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as TOML: {error}") from None
