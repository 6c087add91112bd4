"""The one Settings model, filled from CALLSCORE_* environment variables."""

import re
import socket
from collections.abc import Iterable
from datetime import time
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import quote

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from yarl import URL

from app import providers
from app.providers import Provider
from app.urls import is_host, is_loopback, url_of, with_port

PREFIX = "CALLSCORE_"
_CLIENT_VARIABLES = {"CALLSCORE_URL", "CALLSCORE_API_KEY"}  # which are alike to settings, and meant for commands
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class SettingsError(Exception):
    """A setting is wrong; the message is one sentence that says which and why."""


class Settings(BaseSettings):
    """What can be set from outside; times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, allow_inf_nan=False)

    broker: str = Field("embedded://", description="embedded:// or embedded:///path, or kafka://host:port.")
    data_dir: Path = Field(Path("data"), description="Tables, and the embedded log unless the broker names a path.")
    web_host: str = Field("127.0.0.1", description="Address that the HTTP server binds to.")
    web_port: int = Field(6066, ge=0, le=65535, description="Port of the HTTP server.")
    partitions: int = Field(8, ge=1, le=1024, description="Partitions of every topic; fixed for the life of a log.")
    api_keys: Path | None = Field(None, description="File of hashed API keys; without it anyone on loopback may call.")
    scorers: Annotated[tuple[str, ...], NoDecode] = Field((), description="Modules with scorers, comma-separated.")
    scorer_timeout: float = Field(30.0, gt=0, description="A scorer that runs longer is stopped.")
    scorer_attempts: int = Field(3, ge=1, description="Attempts before a task that keeps failing is failed.")
    scorer_budget: float = Field(3600.0, ge=0, description="From the first failed attempt until a task is failed.")
    scorer_backoff: float = Field(0.5, gt=0, description="Longest pause before the second attempt, then doubled.")
    scorer_longest_pause: float = Field(60.0, gt=0, description="What a backoff never exceeds.")
    scorer_usd_per_day: float | None = Field(
        None, gt=0, le=1_000_000, description="What a scorer may cost a day in each project."
    )
    day_start: time = Field(time(), description="When the days of spend caps begin: HH:MM or HH:MM:SS, UTC.")
    providers: Annotated[dict[str, Provider], NoDecode] = Field(
        {}, description="File of the providers that scorers ask."
    )
    remote_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Hosts, with or without a port, that `remote` scorers may be at, comma-separated."
    )
    remote_private_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Further ones, which may be at private addresses and need no https."
    )
    call_wait: float = Field(600.0, ge=0, description="How long a task waits for a call that is not there yet.")
    concurrency: int = Field(2000, ge=1, description="Tasks that run at once on one worker.")
    scorer_concurrency: int = Field(500, ge=1, description="Tasks of one scorer that run at once on one worker.")
    kafka_prefix: str = Field("", description="In front of the names of all topics and of the consumer group.")
    kafka_replication: int | None = Field(None, ge=1, description="Replicas of each topic; default: up to three.")
    kafka_min_insync: int | None = Field(None, ge=1, description="min.insync.replicas; default: 2 of 3, else 1.")
    kafka_delivery_timeout: float = Field(60.0, gt=0, description="A record that Kafka does not take by then is lost.")
    kafka_security_protocol: str = Field("PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.")
    kafka_sasl_mechanism: str = Field("PLAIN", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.")
    kafka_sasl_username: str | None = None
    kafka_sasl_password: str | None = Field(None, repr=False)
    kafka_ssl_cafile: Path | None = Field(None, description="Certificates that sign the brokers' (PEM).")
    kafka_ssl_certfile: Path | None = Field(None, description="This client's certificate (PEM).")
    kafka_ssl_keyfile: Path | None = Field(None, description="Its key (PEM).")
    standby_replicas: int = Field(0, ge=0, description="Workers that keep a copy of each table in case its owner goes.")
    advertised_url: str | None = Field(None, description="Where other workers reach this one; default: host and port.")
    cluster_secret: str | None = Field(None, repr=False, description="Shared by all workers of a cluster.")
    stuck_after: float = Field(120.0, gt=0, description="A worker whose work stands still that long ends itself.")
    log_level: str = Field("WARNING", description="DEBUG, INFO, WARNING or ERROR.")

    @field_validator("scorers", "remote_hosts", "remote_private_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("remote_hosts", "remote_private_hosts")
    @classmethod
    def _as_in_urls(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_host(entry) for entry in entries)

    @field_validator("providers", mode="before")
    @classmethod
    def _read(cls, value: object) -> object:
        return providers.read(Path(value)) if isinstance(value, str) else value

    @field_validator("broker")
    @classmethod
    def _known_broker(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if not separator or scheme not in ("embedded", "kafka"):
            raise ValueError("must start with embedded:// or kafka://")
        if scheme == "embedded" and rest and not rest.startswith("/"):
            raise ValueError("names a path that is not absolute: write embedded:///path, with three slashes")
        if scheme == "kafka":
            _servers(rest)
        return value

    @field_validator("web_host")
    @classmethod
    def _known_host(cls, value: str) -> str:
        if not is_host(value):
            raise ValueError("must be the name or the address of a host, without brackets and port")
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

    @field_validator("kafka_security_protocol")
    @classmethod
    def _known_protocol(cls, value: str) -> str:
        if value not in PROTOCOLS:
            raise ValueError(f"must be one of {', '.join(PROTOCOLS)}")
        return value

    @field_validator("kafka_sasl_mechanism")
    @classmethod
    def _known_mechanism(cls, value: str) -> str:
        if value not in MECHANISMS:
            raise ValueError(f"must be one of {', '.join(MECHANISMS)}")
        return value

    @model_validator(mode="after")
    def _sasl_has_a_name(self) -> Self:
        named = self.kafka_sasl_username and self.kafka_sasl_password
        if self.kafka_security_protocol.startswith("SASL") and not named and not self.embedded:
            raise ValueError(
                f"{PREFIX}KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} needs "
                f"{PREFIX}KAFKA_SASL_USERNAME and {PREFIX}KAFKA_SASL_PASSWORD"
            )
        return self

    @model_validator(mode="after")
    def _workers_know_each_other(self) -> Self:
        if self.embedded or self.cluster_secret:
            return self
        if not is_loopback(self.web_host) or self.api_keys is not None:
            raise ValueError(
                f"{PREFIX}CLUSTER_SECRET must be set where workers on Kafka talk to each other beyond this machine, or "
                "API keys are wanted (any long random text, the same for all of them)"
            )
        return self

    def provider(self, name: str) -> Provider:
        """A provider of the file that CALLSCORE_PROVIDERS names.

        Raises:
            SettingsError: it does not name this one.
        """
        found = self.providers.get(name)
        if found is None:
            named = ", ".join(sorted(self.providers)) or "none"
            raise SettingsError(f"{PREFIX}PROVIDERS of this worker names no provider {name!r}; it names: {named}")
        return found

    @property
    def url(self) -> str:
        """Where other workers reach this one."""
        if self.advertised_url:
            return self.advertised_url.rstrip("/")
        anywhere = self.web_host in ("0.0.0.0", "::")  # noqa: S104  (compared with, not bound to)
        return url_of(socket.gethostname() if anywhere else self.web_host, self.web_port)

    @property
    def kafka_servers(self) -> list[str]:
        """host:port of the brokers named in `broker`."""
        return _servers(self.broker.removeprefix("kafka://"))

    @property
    def group(self) -> str:
        """What the consumer group of all workers is called."""
        return f"{self.kafka_prefix}callscore"

    @property
    def embedded(self) -> bool:
        return self.broker.startswith("embedded://")

    @property
    def log_path(self) -> Path:
        """The directory of the embedded log."""
        return Path(self.broker.removeprefix("embedded://") or (self.data_dir / "log").absolute())

    @property
    def log_id(self) -> str:
        """Tells this log from every other."""
        return f"{self.broker_url} {self.kafka_prefix}".strip()

    @property
    def broker_url(self) -> str:
        """The broker as Faust takes it: an embedded one always with its path, Kafka's servers one by one."""
        if not self.embedded:
            return ";".join(f"kafka://{server}" for server in self.kafka_servers)
        return f"embedded://{quote(str(self.log_path))}"  # Faust takes `,` and `;` for the end of a URL


def _servers(named: str) -> list[str]:
    """host:port of each of Kafka's servers. Raises ValueError if one is none."""
    return [with_port(server, 9092) for server in re.split("[,;]", named.rstrip("/"))]


def _host(entry: str) -> str:
    """A host with or without a port, as a url has it: lower case, ASCII, an IPv6 address in brackets."""
    try:
        url = URL(f"https://[{entry}]" if entry.count(":") > 1 and "[" not in entry else f"https://{entry}")
    except ValueError:
        url = URL()
    host = (url.host_subcomponent or "").rstrip(".")
    if not host or not set("/?#@").isdisjoint(entry):
        raise ValueError(f"{entry!r} is no host, with or without a port")
    return host if url.explicit_port is None else f"{host}:{url.explicit_port}"


def misspelt(names: Iterable[str]) -> dict[str, str]:
    """Of these names of variables, those that look like a setting's and are none, and which they look like."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    found = {}
    for name in sorted(set(names) - known - _CLIENT_VARIABLES):
        alike = get_close_matches(name, known, 1, cutoff=0.85) if name.startswith(PREFIX) else []
        if alike:
            found[name] = alike[0]
    return found


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
