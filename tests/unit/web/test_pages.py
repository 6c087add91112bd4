"""The pages of the dashboard ask only for what is served."""

import re

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from app.web import pages
from app.web.routes import ROUTES
from tests.unit.web.client import Client


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_asks_only_for_what_is_served(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status == 200
    page = answer.raw.decode()
    files = set(re.findall(r"""(?:src|href)="(/dashboard/[^"]*)\"""", page))
    while files:  # and those that they load, before they ask for anything
        file = files.pop()
        answer = client.get(file)
        assert answer.status == 200, file
        text = answer.raw.decode()
        files |= {f"/dashboard/{name}" for name in re.findall(r"""from "\./([^"]*)\"""", text)}
        page += text
    assert not re.search(r"""src="(?!/dashboard/)""", page)
    assert "url(" not in page
    paths = (route.path for route in ROUTES if isinstance(route, web.RouteDef) and route.method == "GET")
    served = {re.sub(r"\{.*\}", "{}", path) for path in paths}
    named = set(re.findall(r"""[(="`](/[a-z.-]*(?:/[a-z]+|/\$\{[^}]*\}(?:/tasks|/calls)?)?)[?"`]""", page))
    assert {re.sub(r"\$\{.*\}", "{}", name) for name in named} - served == set()
    assert len(named) >= 1


async def test_weaves_link_to_a_call_leads_to_its_panel_on_the_dashboard() -> None:
    link = make_mocked_request("GET", "/", match_info={"entity": "acme", "project": "a b", "call_id": "c/1&ä"})
    with pytest.raises(web.HTTPFound) as found:
        await pages.weave_call(link)
    assert found.value.headers["Location"] == "/#call=acme/a%20b/c%2F1%26%C3%A4"
