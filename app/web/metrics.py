"""`GET /metrics`, for Prometheus."""

from time import perf_counter

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

from app import cluster
from app.web.errors import Handler
from tables import breakers, in_flight

_requests = Counter("callscore_http_requests_total", "HTTP requests answered.", ["method", "route", "status"])
_seconds = Histogram("callscore_http_request_seconds", "Seconds from request to answer.", ["method", "route"])
_CANCELLED = 500  # the status of a request that is cut off as the service stops
_in_flight = Gauge("callscore_tasks_in_flight", "Scoring tasks in flight on this worker.")
_in_flight.set_function(in_flight.size)
_paused = Gauge("callscore_breakers_open", "Scorers that this worker has paused since their provider does not work.")
_paused.set_function(breakers.number_open)
_ready = Gauge("callscore_ready", "1 while this worker is ready, as /readyz says, else 0.")


def _is_ready() -> float:
    try:
        cluster.check_ready()
    except cluster.Unavailable:
        return 0
    return 1


_ready.set_function(_is_ready)


@web.middleware
async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count the request under its route's pattern, so that ids make no series of their own."""
    began = perf_counter()
    status = _CANCELLED
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as redirect:  # `errors` lets nothing else of these through
        status = redirect.status
        raise
    finally:
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "unknown"
        _requests.labels(request.method, route, str(status)).inc()
        _seconds.labels(request.method, route).observe(perf_counter() - began)


async def metrics(request: web.Request) -> web.Response:
    """All metrics of this process."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
