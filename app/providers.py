"""Providers that scorers send requests to, with their limits and prices: the file that CALLSCORE_PROVIDERS names.

[local]
base_url = "http://127.0.0.1:8000/v1"
key = "LOCAL_API_KEY"                 # the environment variable that has the key
limits = { concurrency = 20, requests_per_minute = 600, tokens_per_minute = 100000 }
headers = { api-key = "LOCAL_GATEWAY_KEY" }   # further headers: the environment variables that have their values
body = { chat_template_kwargs = { enable_thinking = false } }   # further fields of what judges send
prices.small = { input = 0.1, output = 0.4 }   # of the model `small`: USD for a million tokens
"""

import os
import re
import tomllib
from pathlib import Path
from typing import Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
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
_HEADER = re.compile("[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_SECRET = 12  # characters
_OUR_HEADERS = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding"})
_OUR_FIELDS = frozenset({"messages", "model", "response_format", "stream"})


class Provider(BaseModel):
    """One provider. `key` and `headers` name the environment variables that have their values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str
    key: str | None = None
    headers: dict[str, str] = {}
    body: dict[str, JsonValue] = {}
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

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        names = [name.lower() for name in headers]
        for name, variable in headers.items():
            if not _HEADER.fullmatch(name) or name.lower() in _OUR_HEADERS or names.count(name.lower()) > 1:
                raise ValueError(f"{name!r} cannot be the name of a header, or is given twice")
            if not _VARIABLE.fullmatch(variable):
                raise ValueError(f"{name} takes the name of an environment variable, and not the value itself")
        return headers

    @field_validator("body")
    @classmethod
    def _are_further_fields(cls, body: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if not _OUR_FIELDS.isdisjoint(body):
            raise ValueError(f"body cannot have {', '.join(sorted(_OUR_FIELDS & body.keys()))}, which callscore sets")
        return body

    @model_validator(mode="after")
    def _can_be_sent(self) -> Self:
        if self.key is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("the key is sent as the header Authorization, so give only one of the two")
        for variable in self.variables.values():
            value = _value(variable) or ""
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"the environment variable {variable} has characters that no header can carry")
        return self

    @property
    def api_key(self) -> str | None:
        """The key itself; None if there is none."""
        return None if self.key is None else _value(self.key)

    @property
    def header_values(self) -> dict[str, str]:
        """The headers with their values, without those whose variable is not set."""
        values = {name: _value(variable) for name, variable in self.headers.items()}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables by what they are for: `a key`, `the header …`."""
        headers = {f"the header {name}": variable for name, variable in self.headers.items()}
        return headers if self.key is None else {"a key": self.key, **headers}

    @property
    def unset(self) -> dict[str, str]:
        """Those of the variables that are not set."""
        return {what: variable for what, variable in self.variables.items() if _value(variable) is None}

    @property
    def secrets(self) -> list[str]:
        """The values that must appear nowhere: keys, and not short ones as of `api-version`, which texts may have."""
        values = filter(None, map(_value, self.variables.values()))
        return [part for value in values for part in (value, value.rpartition(" ")[2]) if len(part) >= _SECRET]

    def url(self, path: str) -> URL:
        """The URL of a path below `base_url`, with the query of `base_url`."""
        base = URL(self.base_url)
        return base.with_path(f"{base.raw_path.rstrip('/')}/{path}", encoded=True, keep_query=True)


def _value(variable: str) -> str | None:
    # Secrets that are kept in files often end with a newline.
    return os.environ.get(variable, "").strip() or None


_providers = TypeAdapter(dict[str, Provider])


def read(path: Path) -> dict[str, Provider]:
    """The providers of a file, by name.

    Raises:
        ValueError: it cannot be read, or has something unknown in it; the message is one sentence.
    """
    try:
        return _providers.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        # A misspelt name makes two mistakes: it is unknown, and what it stands for is missing.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        where = ".".join(str(part) for part in first["loc"])
        what = "there is no such field" if first["type"] == "extra_forbidden" else first["msg"]
        raise ValueError(f"in {path}, {where}: {what.removeprefix('Value error, ')}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as TOML: {error}") from None
