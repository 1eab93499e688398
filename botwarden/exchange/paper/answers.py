"""What the venue says, as it travels: JSON, refusals, and pages of the web server in front of it."""

from http.client import responses
from typing import Any

import msgspec
from aiohttp import web

from botwarden.exchange.paper.errors import ApiError

_encode = msgspec.json.Encoder().encode


def as_json(answer: Any) -> web.Response:
    """Return an answer."""
    return web.Response(body=_encode(answer), content_type="application/json", charset="utf-8")


def refusal(refused: ApiError) -> web.Response:
    """Return an error of the venue's own."""
    said = {"code": refused.code, "msg": refused.message}
    answer = as_json(said if refused.data is None else said | {"data": refused.data})
    answer.set_status(refused.status)
    if refused.retry_after_s is not None:
        answer.headers["Retry-After"] = str(refused.retry_after_s)
    return answer


def page(status: int) -> web.Response:
    """Answer like the web server in front of the venue does: not in JSON."""
    text = f"{status} {responses.get(status, 'Error')}"
    return web.Response(
        status=status,
        text=f"<html><head><title>{text}</title></head><body><center><h1>{text}</h1></center></body></html>",
        content_type="text/html",
    )
