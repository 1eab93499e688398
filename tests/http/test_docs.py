"""The documentation page: complete, and sufficient unto itself."""

import re
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from litestar import Litestar, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

import botwarden
from botwarden.http import docs, strategies
from botwarden.http.docs_page import render_page
from tests.http.stage import open_stage

pytestmark = pytest.mark.anyio

#: A name of another host, in any of the forms a browser would follow.
OTHER_HOST = re.compile(r"""(?:https?:)?//[a-z0-9-]+\.[a-z]""", re.IGNORECASE)


class Inner(msgspec.Struct):
    """A part."""

    amount: Annotated[float, msgspec.Meta(gt=0, description="How much <of it>.")]


class Thing(msgspec.Struct):
    """A thing that is written."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    inner: Inner
    again: "Thing | None" = None


@post("/things/{thing_id:int}", tags=["things"], summary="Make <b>a thing</b>")
async def make_thing(thing_id: FromPath[int], data: JSONBody[Thing]) -> Thing:
    """Make it.

    <script>alert(1)</script> is only text.
    """
    data.name += str(thing_id)
    return data


@get("/things", tags=["things"])
async def list_things(limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50) -> list[Thing]:
    """Return all."""
    return [][:limit]


def client() -> httpx.AsyncClient:
    app = Litestar([make_thing, list_things, *strategies.routes], openapi_config=docs.openapi_config())
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://here")


async def fetch(path: str) -> httpx.Response:
    async with client() as http:
        answer = await http.get(path)
    assert answer.status_code == 200, path
    return answer


async def test_document_names_the_program_and_its_version():
    """The OpenAPI document says what it describes, and in which version."""
    document = (await fetch("/schema/openapi.json")).json()
    assert document["info"]["title"] == "botwarden"
    assert document["info"]["version"] == botwarden.__version__
    assert "/things/{thing_id}" in document["paths"]


async def test_page_and_all_its_files_name_no_other_host():
    """Nothing that the page loads, and nothing that those files load, comes from somewhere else."""
    page = (await fetch("/schema")).text
    linked = re.findall(r"""(?:href|src)=["']([^"']+)["']""", page)
    files = [path for path in linked if path.startswith("/schema/assets/")]

    assert {path.rpartition("/")[2] for path in files} == {"docs.css", "docs.js"}
    assert set(linked) - set(files) == {"data:,", "/schema/openapi.json"}
    for text in [page, *[(await fetch(path)).text for path in files]]:
        assert not OTHER_HOST.search(text)
        assert "http" not in re.sub(r"https?://here|HTTP", "", text)


async def test_page_shows_every_operation():
    """Each operation stands on the page with its method, path, parameters, bounds and form."""
    page = (await fetch("/schema")).text
    for text in ("/things/{thing_id}", "/api/v1/strategies", "integer, ≥ 1, ≤ 500", "string, length ≥ 1"):
        assert text in page
    assert page.count("<form ") == page.count("<details ") == 3


async def test_text_of_the_document_is_only_text():
    """Descriptions cannot put elements into the page."""
    page = (await fetch("/schema")).text
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "Make &lt;b&gt;a thing&lt;/b&gt;" in page
    assert "How much &lt;of it&gt;." in page


async def test_files_say_what_they_are():
    """Browsers are told the types, so that nothing is guessed."""
    assert (await fetch("/schema/assets/docs.css")).headers["content-type"].startswith("text/css")
    assert (await fetch("/schema/assets/docs.js")).headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fdocs.py", "docs.py"])
async def test_nothing_else_is_served(name):
    """Only the page's own files can be had from its folder."""
    async with client() as http:
        assert (await http.get(f"/schema/assets/{name}")).status_code >= 400


def test_circular_references_end():
    """A schema that contains itself is shown to a depth, not for ever."""
    schemas: dict[str, Any] = {
        "Node": {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}}
    }
    reference = {"$ref": "#/components/schemas/Node"}
    body = {"content": {"application/json": {"schema": reference}}}
    page = render_page(
        {
            "info": {"title": "t", "version": "1"},
            "paths": {"/x": {"post": {"requestBody": body, "responses": {"200": body}}}},
            "components": {"schemas": schemas},
        },
        base="/schema",
        assets="/schema/assets",
    )
    assert page.count("<code>next</code>") == 12


async def test_live_half_describes_itself(database, redis_url):
    """What this half of the API offers is in the document and on the page, open to everyone."""
    async with open_stage(database, redis_url) as stage:
        document = (await stage.get("/schema/openapi.json")).json()
        page = (await stage.get("/schema")).text
    for path in (
        "/api/v1/bots/status-stream",
        "/api/v1/bots/{bot_id}/status-stream",
        "/api/v1/runtime",
        "/api/v1/strategies",
        "/api/v1/symbols",
        "/api/v1/symbols/{symbol}/candles",
        "/health/live",
        "/health/ready",
    ):
        assert set(document["paths"][path]) == {"get"}
        assert path in page
    stream = document["paths"]["/api/v1/bots/status-stream"]["get"]["responses"]["200"]
    assert list(stream["content"]) == ["text/event-stream"]
    assert not OTHER_HOST.search(page)


async def test_the_address_of_the_server_leads_to_the_page(api):
    """Whoever clicks on what `up` prints sees the documentation; the document does not speak of it."""
    client = api.client()
    answer = await client.get(api.url + "/")
    assert (answer.status_code, answer.headers["location"]) == (302, "/schema")
    assert "/" not in (await client.get(api.url + "/schema/openapi.json")).json()["paths"]
    await client.aclose()
