"""Failures that pass are told from those that stay, by what the exceptions of real clients carry."""

import asyncio
import contextlib
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from app.scorers import BoundScorer, Failure, NoJudgement, Runner, ScorerError
from app.scorers.errors import ScorerRaised, portable
from app.scorers.failures import LONGEST_WAIT, classify, retry_after
from kafka import ports
from tests.loopback import on_loopback
from tests.unit.scorers.timed import run_within

Bind = Callable[..., BoundScorer]

STATUSES = {
    400: Failure.TERMINAL,
    401: Failure.UNAUTHORIZED,
    402: Failure.UNAUTHORIZED,
    403: Failure.UNAUTHORIZED,
    404: Failure.TERMINAL,
    408: Failure.TRANSIENT,
    409: Failure.TRANSIENT,
    422: Failure.TERMINAL,
    425: Failure.TRANSIENT,
    429: Failure.THROTTLED,
    500: Failure.UNAVAILABLE,
    502: Failure.UNAVAILABLE,
    503: Failure.UNAVAILABLE,
    529: Failure.UNAVAILABLE,
}


@contextlib.asynccontextmanager
async def provider(headers: dict[str, str]) -> AsyncIterator[str]:
    """A server that answers /{status} with that status and these headers."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["status"]), headers=headers)

    app = web.Application()
    app.add_routes([web.get("/{status}", answer)])
    async with on_loopback(app) as port:
        yield f"http://127.0.0.1:{port}"


async def aiohttp_error(url: str) -> BaseException:
    try:
        async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(url):
            raise AssertionError("no error")
    except aiohttp.ClientError as error:
        return error


async def urllib_error(url: str) -> BaseException:
    def ask() -> BaseException:
        try:
            urllib.request.urlopen(url, timeout=5)
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            return error
        raise AssertionError("no error")

    return await asyncio.to_thread(ask)


class Response:
    """A response as httpx and requests have it."""

    def __init__(self, status_code: int, headers: dict[str, str]) -> None:
        self.status_code = status_code
        self.headers = headers


class HTTPStatusError(Exception):
    """As httpx and requests raise it."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(f"status {status}")
        self.response = Response(status, {name.replace("_", "-"): value for name, value in headers.items()})


class APIStatusError(Exception):
    """As openai raises it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"Error code: {status}")
        self.status_code = status
        self.response = Response(status, {})


@pytest.mark.parametrize("ask", [aiohttp_error, urllib_error])
async def test_a_status_says_whether_another_attempt_makes_sense(ask: Callable[[str], Any]) -> None:
    async with provider({"Retry-After": "7"}) as url:
        found = {status: classify(await ask(f"{url}/{status}")) for status in STATUSES}
    assert found == {status: (failure, 7.0) for status, failure in STATUSES.items()}


@pytest.mark.parametrize("make", [HTTPStatusError, APIStatusError])
def test_a_status_is_found_wherever_a_client_puts_it(make: Callable[[int], BaseException]) -> None:
    assert {status: classify(make(status))[0] for status in STATUSES} == STATUSES


@pytest.mark.parametrize("ask", [aiohttp_error, urllib_error])
async def test_a_connection_that_fails_is_a_provider_that_is_away(ask: Callable[[str], Any]) -> None:
    assert classify(await ask(f"http://127.0.0.1:{ports.free(1)[0]}/")) == (Failure.UNAVAILABLE, None)


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError()])
def test_a_time_out_and_a_reset_are_a_provider_that_is_away(error: BaseException) -> None:
    assert classify(error) == (Failure.UNAVAILABLE, None)


def test_what_caused_an_exception_counts_and_what_it_is_not_does_not() -> None:
    def wrapped(cause: BaseException) -> BaseException:
        try:
            raise RuntimeError("the judge did not answer") from cause
        except RuntimeError as error:
            return error

    assert classify(wrapped(HTTPStatusError(429, Retry_After="3"))) == (Failure.THROTTLED, 3.0)
    assert classify(wrapped(ValueError("no"))) == (Failure.TRANSIENT, None)
    assert classify(LookupError("status 429")) == (Failure.TRANSIENT, None)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("12", 12.0), ("0.5", 0.5), ("-3", 0.0), ("soon", None), ("nan", None), ("inf", None), ("1e30", LONGEST_WAIT)],
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert retry_after(HTTPStatusError(503, Retry_After=value)) == seconds


def test_retry_after_as_a_date_counts_from_now() -> None:
    now = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
    at = format_datetime(now + timedelta(seconds=90), usegmt=True)
    assert retry_after(HTTPStatusError(429, Retry_After=at), now.timestamp()) == 90.0
    assert retry_after(HTTPStatusError(429, Retry_After=at), now.timestamp() + 1000) == 0.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Wed, 21 Oct 9999 07:28:00 GMT", LONGEST_WAIT),
        ("Wed, 21 Oct 9999999999 07:28:00 GMT", None),
        ("Wed, 99 Oct 2026 07:28:00 GMT", None),
        ("Wed, 21 Oct 2026 07:28:00 +999999999999999999", None),
    ],
)
def test_a_date_that_is_none_says_nothing(value: str, seconds: float | None) -> None:
    assert classify(HTTPStatusError(429, Retry_After=value)) == (Failure.THROTTLED, seconds)


def test_an_error_whose_headers_cannot_be_read_is_described_all_the_same() -> None:
    class Unreadable:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    error = HTTPStatusError(429)
    error.response.headers["Retry-After"] = Unreadable()  # type: ignore[assignment]
    described = ScorerRaised.of(error)
    assert (described.type, described.failure, described.retry_after) == ("HTTPStatusError", Failure.TRANSIENT, None)


def test_retry_after_in_milliseconds_is_the_finer_one() -> None:
    assert retry_after(HTTPStatusError(429, Retry_After="2", Retry_After_Ms="1500")) == 1.5


@pytest.mark.parametrize("kind", ["throttled", "throttled_async", "asks_for_later", "asks_for_later_async"])
def test_what_a_scorer_was_told_survives_the_way_from_its_process(
    go: Callable[..., Any], bind: Bind, kind: str
) -> None:
    async def scenario() -> ScorerError:
        async with Runner() as runner:
            with pytest.raises(ScorerError) as caught:
                await run_within(runner, bind(kind), {"id": "c", "inputs": {}, "output": "o"}, 60.0)
            return caught.value

    error = go(scenario())
    expected = Failure.POSTPONED if "later" in kind else Failure.THROTTLED
    assert (error.failure, error.retry_after) == (expected, 12.5)


@pytest.mark.parametrize("after", [float("inf"), float("nan"), -1.0, "soon"])
def test_a_wait_that_is_no_time_is_a_mistake_of_the_scorer(after: Any) -> None:
    made = portable(NoJudgement("busy", "not now", Failure.THROTTLED, retry_after=after))
    assert isinstance(made, ScorerRaised)
    assert made.type == "ValueError"
    assert made.retry_after is None


def test_a_wait_is_never_longer_than_the_longest() -> None:
    made = portable(NoJudgement("busy", "not now", Failure.THROTTLED, retry_after=1e9))
    assert (made.type, made.retry_after) == ("busy", LONGEST_WAIT)
