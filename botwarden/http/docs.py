"""The OpenAPI document and the documentation page at /schema.

The page is ours: it needs no other host, neither for scripts nor for fonts or icons.
"""

from importlib import resources
from typing import Any

from litestar import Request, Response, Router, get
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.status_codes import HTTP_302_FOUND

import botwarden
from botwarden.errors import Missing
from botwarden.http.docs_page import render_page

_PATH = "/schema"
_ASSETS = {"docs.css": "text/css; charset=utf-8", "docs.js": "text/javascript; charset=utf-8"}


@get("/", opt={"exclude_from_auth": True}, include_in_schema=False, status_code=HTTP_302_FOUND)
async def show_docs() -> Redirect:
    """Lead whoever opens the address of the server to what there is to see."""
    return Redirect(_PATH)


@get("/assets/{name:str}")
async def read_asset(name: FromPath[str]) -> Response[bytes]:
    """Return one of the page's files."""
    if name not in _ASSETS:
        raise Missing
    content = resources.files("botwarden.http").joinpath("docs_assets", name).read_bytes()
    return Response(content, media_type=_ASSETS[name], headers={"cache-control": "max-age=3600"})


class DocsPage(OpenAPIRenderPlugin):
    """Renders the page from the document, once."""

    def __init__(self) -> None:
        super().__init__(path="/")
        self._page = b""

    def render(self, _request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the page."""
        if not self._page:
            self._page = render_page(openapi_schema, base=_PATH, assets=f"{_PATH}/assets").encode()
        return self._page

    def receive_router(self, router: Router) -> None:
        """Serve the page's files beside it."""
        router.register(read_asset)


def openapi_config() -> OpenAPIConfig:
    """Return how the API describes itself."""
    return OpenAPIConfig(
        title="botwarden",
        version=botwarden.__version__,
        description="Keeps trading bots alive: accounts, bots, their states, and live status streams.",
        render_plugins=[DocsPage()],
        use_handler_docstrings=True,
        openapi_router=Router(
            _PATH, route_handlers=[], include_in_schema=False, opt={"exclude_from_auth": True}
        ),
        security=[{"bearer": []}, {"cookie": []}],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer"),
                "cookie": SecurityScheme(type="apiKey", name="botwarden", security_scheme_in="cookie"),
            }
        ),
    )
