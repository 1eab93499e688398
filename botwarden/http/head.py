"""HEAD: what a GET would be answered with, without the body.

The server leaves the body out by itself. What would be streamed ends once its headers are told, as if the
client had left then.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

_END = {"type": "http.response.body", "body": b"", "more_body": False}


class HeadAnswers:
    """Wraps an application that knows GET."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Pass a HEAD on as a GET, and everything else as it is."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            await _Head(receive, send).answer(self._app, scope)
        else:
            await self._app(scope, receive, send)


class _Head:
    """A client that sends its request, and leaves when it has the headers."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._asked = False
        self._told = anyio.Event()
        self._ended = False

    async def answer(self, app: Any, scope: Any) -> None:
        await app({**scope, "method": "GET"}, self._next, self._tell)
        if self._told.is_set() and not self._ended:
            await self._send(_END)

    async def _next(self) -> Any:
        if not self._asked:
            self._asked = True
            return await self._receive()
        await self._told.wait()
        return {"type": "http.disconnect"}

    async def _tell(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            await self._send(message)
            self._told.set()
        elif not message.get("more_body", False):
            self._ended = True
            await self._send(_END)
