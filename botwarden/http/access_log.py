"""One line for each request: what was asked, the answer's status, and how long it took.

Neither headers nor bodies nor query strings are ever logged: they may hold secrets. What only reads is
logged at the level of debugging.
"""

import time
from typing import Any

import structlog

log = structlog.get_logger()

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class AccessLog:
    """Wraps an application."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on and note its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # A duration by the machine's own clock: no decision depends on it.
        began = time.perf_counter()

        async def noted(message: Any) -> None:
            if message["type"] == "http.response.start":
                _note(scope, message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, noted)


def _note(scope: Any, status: int, took_s: float) -> None:
    write = log.warning if status >= 500 else log.debug if scope["method"] in _READS else log.info
    write(
        "request.answered",
        method=scope["method"],
        path=scope["path"],
        status=status,
        ms=round(took_s * 1000, 1),
    )
