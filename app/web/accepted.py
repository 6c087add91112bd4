"""Headers of requests that this process accepted lately: known here before the tables have them."""

from collections import OrderedDict

from aiohttp import web

from app.events import RequestAccepted

_KEPT = 10_000


class Accepted:
    """The newest headers, by request id."""

    def __init__(self) -> None:
        self._headers: OrderedDict[str, RequestAccepted] = OrderedDict()

    def add(self, header: RequestAccepted) -> None:
        self._headers[header.request_id] = header
        if len(self._headers) > _KEPT:
            self._headers.popitem(last=False)

    def get(self, request_id: str) -> RequestAccepted | None:
        return self._headers.get(request_id)


ACCEPTED: web.AppKey[Accepted] = web.AppKey("accepted", Accepted)
