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
_CLIENT_VARIABLES = {"CALLSCORE_URL", "CALLSCORE_API_KEY"}  # for client commands, and similar to settings
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class SettingsError(Exception):
    """A setting is invalid; the message says which and why."""


class Settings(BaseSettings):
    """The settings; times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, allow_inf_nan=False)

    broker: str = Field("embedded://", description="embedded://, embedded:///path or kafka://host:port.")
    data_dir: Path = Field(Path("data"), description="Tables, and the embedded log unless the broker names a path.")
    web_host: str = Field("127.0.0.1", description="Address the HTTP server binds to.")
    web_port: int = Field(6066, ge=0, le=65535, description="Port of the HTTP server.")
    partitions: int = Field(8, ge=1, le=1024, description="Partitions of every topic; fixed for the life of a log.")
    api_keys: Path | None = Field(None, description="File of hashed API keys; without it only this machine has access.")
    scorers: Annotated[tuple[str, ...], NoDecode] = Field((), description="Modules with scorers, comma-separated.")
    scorer_timeout: float = Field(30.0, gt=0, description="Longest run of a scorer before it is stopped.")
    scorer_attempts: int = Field(3, ge=1, description="Attempts before a task fails.")
    scorer_budget: float = Field(3600.0, ge=0, description="Time from the first failed attempt until a task fails.")
    scorer_backoff: float = Field(0.5, gt=0, description="Longest pause before the second attempt; then doubled.")
    scorer_longest_pause: float = Field(60.0, gt=0, description="Longest pause between attempts.")
    scorer_usd_per_day: float | None = Field(
        None, gt=0, le=1_000_000, description="Spend cap of a scorer per day and project."
    )
    day_start: time = Field(time(), description="Start of the days of spend caps: HH:MM or HH:MM:SS, UTC.")
    providers: Annotated[dict[str, Provider], NoDecode] = Field(
        {}, description="File of the providers that scorers send requests to."
    )
    remote_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Hosts, with or without a port, allowed for `remote` scorers, comma-separated."
    )
    remote_private_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Further ones, which may have private addresses and need no https."
    )
    call_wait: float = Field(600.0, ge=0, description="Longest wait of a task for its call to be logged.")
    concurrency: int = Field(2000, ge=1, description="Tasks that run at once on one worker.")
    scorer_concurrency: int = Field(500, ge=1, description="Tasks of one scorer that run at once on one worker.")
    kafka_prefix: str = Field("", description="Prefix of the names of all topics and of the consumer group.")
    kafka_replication: int | None = Field(None, ge=1, description="Replicas of each topic; default: up to three.")
    kafka_min_insync: int | None = Field(None, ge=1, description="min.insync.replicas; default: 2 of 3, else 1.")
    # Not longer than Kafka waits for members to join again: then others have the partitions that the records are of.
    kafka_delivery_timeout: float = Field(
        60.0, gt=0, le=60, description="Time until a record that Kafka refuses is lost."
    )
    kafka_security_protocol: str = Field("PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.")
    kafka_sasl_mechanism: str = Field("PLAIN", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.")
    kafka_sasl_username: str | None = None
    kafka_sasl_password: str | None = Field(None, repr=False)
    kafka_ssl_cafile: Path | None = Field(None, description="CA certificates for the brokers (PEM).")
    kafka_ssl_certfile: Path | None = Field(None, description="Client certificate (PEM).")
    kafka_ssl_keyfile: Path | None = Field(None, description="Key of the client certificate (PEM).")
    standby_replicas: int = Field(0, ge=0, description="Standby copies of each table on other workers.")
    advertised_url: str | None = Field(None, description="URL for other workers; default: host and port.")
    cluster_secret: str | None = Field(None, repr=False, description="Secret that all workers of a cluster share.")
    stuck_after: float = Field(120.0, gt=0, description="Time without progress after which a worker exits.")
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
            raise ValueError("must name an absolute path: embedded:///path, with three slashes")
        if scheme == "kafka":
            _servers(rest)
        return value

    @field_validator("web_host")
    @classmethod
    def _known_host(cls, value: str) -> str:
        if not is_host(value):
            raise ValueError("must be a host name or address, without brackets and port")
        return value

    @field_validator("day_start")
    @classmethod
    def _in_utc(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError("must be HH:MM in UTC, without an offset")
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
                f"{PREFIX}WEB_HOST={self.web_host} can be reached from other machines, so {PREFIX}API_KEYS must name a "
                "key file. Make one with: callscore keys add"
            )
        if self.api_keys is not None and not self.api_keys.is_file():
            raise ValueError(
                f"{PREFIX}API_KEYS names {self.api_keys}, which is not a file. Make one with: callscore keys add"
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
                f"{PREFIX}CLUSTER_SECRET must be set for workers on Kafka that use API keys or can be reached from "
                "other machines. Use any long random text, the same for all workers"
            )
        return self

    def provider(self, name: str) -> Provider:
        """A provider of the file that CALLSCORE_PROVIDERS names.

        Raises:
            SettingsError: the file does not have it.
        """
        found = self.providers.get(name)
        if found is None:
            named = ", ".join(sorted(self.providers)) or "none"
            raise SettingsError(f"{PREFIX}PROVIDERS of this worker names no provider {name!r}; it names: {named}")
        return found

    @property
    def url(self) -> str:
        """The URL of this worker for other workers."""
        if self.advertised_url:
            return self.advertised_url.rstrip("/")
        return self._url(socket.gethostname())

    def check_reachable(self) -> None:
        """Check that workers on other machines can reach this one, if the log is where they can reach it.

        Raises:
            SettingsError: they cannot.
        """
        if self.embedded or self.advertised_url or not is_loopback(self.web_host):
            return
        if not all(is_loopback(server.rpartition(":")[0].strip("[]")) for server in self.kafka_servers):
            raise SettingsError(
                f"{PREFIX}BROKER names Kafka on another machine, where workers cannot reach this one at {self.url}. "
                f"Set {PREFIX}WEB_HOST=0.0.0.0, and {PREFIX}ADVERTISED_URL to a URL at which they can. If all workers "
                f"are on this machine, set {PREFIX}ADVERTISED_URL={self.url}"
            )

    @property
    def local_url(self) -> str:
        """The URL of this worker on this machine."""
        return self._url("127.0.0.1")

    def _url(self, host_if_any: str) -> str:
        binds_all = self.web_host in ("0.0.0.0", "::")  # noqa: S104  (compared with, not bound to)
        return url_of(host_if_any if binds_all else self.web_host, self.web_port)

    @property
    def unset_keys(self) -> list[tuple[str, str, str]]:
        """What providers are called without: provider, `a key` or `the header …`, and the variable that is not set."""
        return [(name, *unset) for name, provider in self.providers.items() for unset in provider.unset.items()]

    @property
    def kafka_servers(self) -> list[str]:
        """host:port of each of Kafka's servers."""
        return _servers(self.broker.removeprefix("kafka://"))

    @property
    def group(self) -> str:
        """The consumer group of all workers."""
        return f"{self.kafka_prefix}callscore"

    @property
    def embedded(self) -> bool:
        return self.broker.startswith("embedded://")

    @property
    def log_path(self) -> Path:
        """The directory of the embedded log."""
        return Path(self.broker.removeprefix("embedded://") or (self.data_dir / "log").absolute())

    @property
    def log_name(self) -> str:
        """Where the log is, and the prefix of its topics there."""
        return f"{self.broker_url} {self.kafka_prefix}".strip()

    @property
    def broker_url(self) -> str:
        """The broker as Faust takes it: an embedded log always with its path, Kafka's servers one by one."""
        if not self.embedded:
            return ";".join(f"kafka://{server}" for server in self.kafka_servers)
        return f"embedded://{quote(str(self.log_path))}"  # to Faust `,` and `;` end a URL


def _servers(named: str) -> list[str]:
    """host:port of each of Kafka's servers. Raises ValueError if one is invalid."""
    return [with_port(server, 9092) for server in re.split("[,;]", named.rstrip("/"))]


def _host(entry: str) -> str:
    """A host with or without a port as in a URL: lower case, ASCII, an IPv6 address in brackets."""
    try:
        url = URL(f"https://[{entry}]" if entry.count(":") > 1 and "[" not in entry else f"https://{entry}")
    except ValueError:
        url = URL()
    host = (url.host_subcomponent or "").rstrip(".")
    if not host or not set("/?#@").isdisjoint(entry):
        raise ValueError(f"{entry!r} is not a host, with or without a port")
    return host if url.explicit_port is None else f"{host}:{url.explicit_port}"


def unknown_variables(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """The names that look like a misspelled setting, each with the setting it resembles."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    others = _CLIENT_VARIABLES.union(*(provider.variables.values() for provider in settings.providers.values()))
    found = {}
    for name in sorted(set(names) - known - others):
        similar = get_close_matches(name, known, 1, cutoff=0.85) if name.startswith(PREFIX) else []
        if similar:
            found[name] = similar[0]
    return found


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        SettingsError: a variable is invalid.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if first["loc"]:
            message = f"{PREFIX}{str(first['loc'][0]).upper()}={first['input']!r}: {message}"
        raise SettingsError(message) from None
