"""`remote`: a scorer behind an HTTPS endpoint, by Weave's contract for remote scorers, schema version 1.

The contract: github.com/wandb/weave, examples/remote_scorer/README.md.
"""

import re
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar
from uuid import uuid4

import orjson
from pydantic import Field, JsonValue, field_validator
from yarl import URL

from app.judges.addresses import PublicOnly, check_url
from app.judges.posting import MAX_BYTES, Poster
from app.providers import Provider
from app.scorers import Call, Failure, NoJudgement, Policy, Scorer, report
from app.scorers.refs import parse_ref
from app.settings import get_settings

SCHEMA_VERSION = 1
_RAW_CHARACTERS = 4_000
_CLIMBS = re.compile(r"[/\\]\.\.(?![^/\\;])")  # in a decoded path, as some servers read `..%2f` and `..;`
_OF_CALL = ("trace_id", "op_name", "inputs", "started_at", "ended_at", "output")


class RemoteScorer(Scorer):
    """Sends the call to an HTTPS endpoint of yours, by Weave's remote-scorer contract, and takes its `result`."""

    kind: ClassVar[str] = "remote"

    endpoint_url: str = Field(description="Where to POST the call; a host that CALLSCORE_REMOTE_HOSTS allows.")
    provider: str | None = Field(None, description="Whose key and limits hold: one of CALLSCORE_PROVIDERS at that url.")
    config: dict[str, JsonValue] | None = Field(None, description="Handed to the endpoint as `scorer.config`.")

    @field_validator("endpoint_url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")) or not URL(url).host:
            raise ValueError("must be an https:// url")
        return url

    @property
    def policy(self) -> Policy:  # type: ignore[override]
        """The limits of its provider hold, if it names one."""
        return Policy(provider=self.provider)

    async def score(self, *, call: Call) -> Any:
        url = URL(self.endpoint_url)
        key = self._check(url)
        body = self._body(call)
        if len(body) > MAX_BYTES:
            raise NoJudgement("request_too_large", f"the call makes a request of {len(body)} bytes, more than 1 MiB")
        headers = {
            "Idempotency-Key": report().task_id,
            "X-Correlation-ID": str(uuid4()),
            "X-Weave-Schema-Version": str(SCHEMA_VERSION),
        }
        return _result(await _poster().post(url, body, headers, key))

    def _check(self, url: URL) -> str | None:
        """The key to send. Raises NoJudgement if the endpoint must not be asked."""
        settings = get_settings()
        check_url(url, settings.remote_hosts, settings.remote_private_hosts)
        if self.provider is None:
            return None
        provider = settings.providers.get(self.provider)
        if provider is None:
            message = f"CALLSCORE_PROVIDERS names no provider {self.provider!r} on this worker"
            raise NoJudgement("provider_unknown", message)
        if not _is_at(self.endpoint_url, provider):
            message = f"the endpoint is not below the base_url of {self.provider!r}, so it does not get that one's key"
            raise NoJudgement("endpoint_forbidden", message)
        return provider.api_key

    def _body(self, call: Call) -> bytes:
        ref = report().scorer_ref
        original = {"project_id": call.get("project_id"), "call_id": call.get("id")}
        return orjson.dumps(
            {
                "schema_version": SCHEMA_VERSION,
                "original_call": original | {name: call.get(name) for name in _OF_CALL},
                "scoring_call_id": str(uuid4()),
                "scoring_trace_id": str(uuid4()),
                "monitor": {"name": "callscore", "version_digest": parse_ref(ref).digest},
                "scorer": {"name": parse_ref(ref).name, "ref": ref, "config": self.config},
                "triggered_at": datetime.now(UTC).isoformat(),
            }
        )


def _is_at(url: str, provider: Provider) -> bool:
    """Whether what is sent to the url arrives below the base_url of the provider."""
    asked, base = URL(url), URL(provider.base_url)  # without the `.` and `..` in their paths
    root = base.raw_path.rstrip("/")
    same = (asked.scheme, asked.host, asked.port) == (base.scheme, base.host, base.port)
    below = asked.raw_path == root or asked.raw_path.startswith(f"{root}/")
    return same and below and not _CLIMBS.search(asked.path)


def _result(raw: bytes) -> Any:
    try:
        answer = orjson.loads(raw)
    except ValueError:
        answer = None
    version = answer.get("schema_version") if isinstance(answer, dict) else None
    if version != SCHEMA_VERSION or isinstance(version, bool) or answer.get("result") is None:
        message = "the endpoint answered 200 without `schema_version` 1 and a `result`"
        shown = raw[:_RAW_CHARACTERS].decode("utf-8", "replace")
        raise NoJudgement("answer_malformed", message, Failure.TRANSIENT, raw=shown)
    return answer["result"]


@cache
def _poster() -> Poster:
    return Poster("the endpoint", PublicOnly(get_settings().remote_private_hosts))
