"""Who is calling: a bearer token or the cookie with the same token, on every endpoint that is not open.

A handler that runs knows its caller; whoever does not say `exclude_from_auth` is closed.
"""

from collections.abc import Iterable
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from botwarden.errors import Missing, Unauthorized, Unavailable
from botwarden.http import csrf, tokens
from botwarden.http.dependencies import HttpDeps
from botwarden.http.limits import Crowd
from botwarden.http.tokens import Sessions
from botwarden.persistence.users import SessionUser

#: A request with a known caller.
Asked = Request[SessionUser, Any, Any]

#: Says that a handler needs no caller.
OPEN = {"exclude_from_auth": True}

_LARGEST_ID = 2**63 - 1


class Doorkeeper:
    """Lets requests in."""

    def __init__(self, deps: HttpDeps, sessions: Sessions) -> None:
        self._stopping = deps.stopping
        self._sessions = sessions
        self._crowd = Crowd(deps.settings.requests_at_once)

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Wrap an application."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP or scope["method"] == "OPTIONS" or _is_open(scope):
                await app(scope, receive, send)
                return
            if self._stopping.is_set():
                raise Unavailable("The server is shutting down.")
            caller = await self._identify(ASGIConnection(scope))
            _check_ids(scope)
            scope["user"] = caller
            scope["auth"] = caller.token_hash
            if _is_stream(scope):
                await app(scope, receive, send)
                return
            with self._crowd.entered(caller.user_id):
                await app(scope, receive, send)

        return guarded

    async def _identify(self, connection: ASGIConnection[Any, Any, Any, Any]) -> SessionUser:
        header = connection.headers.get("authorization")
        token = _bearer(header) if header is not None else connection.cookies.get(tokens.COOKIE)
        if not token:
            raise Unauthorized
        if header is None and connection.scope["method"] not in csrf.SAFE_METHODS:  # type: ignore[typeddict-item]
            csrf.check_csrf(connection.headers, token)
        caller = await self._sessions.find(token)
        if caller is None:
            raise Unauthorized
        return caller


def _bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _is_open(scope: Scope) -> bool:
    return bool(scope["route_handler"].opt.get("exclude_from_auth"))


def _is_stream(scope: Scope) -> bool:
    return scope.get("path_template", "").endswith("/status-stream")


def _check_ids(scope: Scope) -> None:
    """Raise `Missing` for an id that no row can have."""
    ids: Iterable[object] = scope.get("path_params", {}).values()
    for value in ids:
        if isinstance(value, int) and not 0 < value <= _LARGEST_ID:
            raise Missing
