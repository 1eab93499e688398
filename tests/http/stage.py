"""The live half on a real server: an application of its own, with the doors that it needs."""

import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
from httpx_sse import EventSource, aconnect_sse
from litestar import Litestar, Request, Response
from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult, DefineMiddleware

from botwarden.errors import BotwardenError, Forbidden, Invalid, Missing, Unauthorized, Unavailable
from botwarden.exchange.binance import BinanceExchange
from botwarden.exchange.port import Credentials
from botwarden.exchange.symbols import SymbolCatalogue
from botwarden.exchange.venues import VenueUrls
from botwarden.http import docs, live
from botwarden.http.live import LiveHalf
from botwarden.http.server import ApiServer, take_address
from botwarden.persistence import users
from botwarden.persistence.broadcast import Broadcast
from botwarden.persistence.cache import JsonCache
from botwarden.persistence.database import Database
from botwarden.runtime import Clock, SystemClock
from botwarden.trading.bot import ApiKeyId, Venue
from tests.http.house import TOMORROW, House, counted

_STATUS: dict[type[BotwardenError], int] = {
    Invalid: 422,
    Missing: 404,
    Unauthorized: 401,
    Forbidden: 403,
    Unavailable: 503,
}
METRICS_TOKEN = "figures"


@dataclass(kw_only=True)
class Doors:
    """What the live half needs of its surroundings."""

    database: Database
    broadcast: Broadcast
    cache: JsonCache
    exchange: BinanceExchange
    symbols: SymbolCatalogue
    clock: Clock
    stopping: anyio.Event


class Porter(AbstractAuthenticationMiddleware):
    """Lets in who has a session: a bearer token, or a cookie as browsers' EventSource sends it."""

    async def authenticate_request(self, connection: ASGIConnection) -> AuthenticationResult:
        bearer = connection.headers.get("authorization", "").removeprefix("Bearer ")
        token = bearer or connection.cookies.get("botwarden", "")
        async with connection.app.state.doors.database.read() as tx:
            user = await users.find_session(tx, hashed(token))
        if user is None:
            raise Unauthorized
        return AuthenticationResult(user=user, auth=None)


class Stage:
    """A running server, and a house of users on the same database."""

    def __init__(self, house: House, doors: Doors, server: ApiServer, origin: str) -> None:
        self.house = house
        self.doors = doors
        self.server = server
        self.origin = origin
        self.port = int(origin.rpartition(":")[2])

    async def token(self, user_id: int, token: str = "") -> str:
        """Return a token that opens a session of the user."""
        token = token or f"token-of-{user_id}"
        async with self.doors.database.begin() as tx:
            await users.create_session(tx, user_id, hashed(token), TOMORROW)
        return token

    async def get(self, path: str, token: str | None = None, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.origin) as http:
            return await http.get(path, headers={**bearer(token), **headers})

    @asynccontextmanager
    async def events(self, path: str, token: str | None = None, **headers: str) -> AsyncIterator[EventSource]:
        async with (
            httpx.AsyncClient(base_url=self.origin, timeout=10) as http,
            aconnect_sse(http, "GET", path, headers={**bearer(token), **headers}) as source,
        ):
            yield source


def bearer(token: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


def hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _problem(_request: Request[Any, Any, Any], error: BotwardenError) -> Response[dict[str, Any]]:
    status = next(code for family, code in _STATUS.items() if isinstance(error, family))
    return Response({"detail": str(error)}, status_code=status, media_type="application/problem+json")


@asynccontextmanager
async def _doors(database: Database, redis_url: str, venue: str) -> AsyncIterator[Doors]:
    async def open_secret(_api_key_id: ApiKeyId) -> Credentials:
        return Credentials(api_key="", secret_key="")

    clock = SystemClock()
    broadcast, cache = Broadcast(redis_url), JsonCache(redis_url)
    urls = VenueUrls(rest=f"{venue}/api", stream="ws://127.0.0.1:9")
    exchange = BinanceExchange({Venue.PAPER: urls}, open_secret, clock, rng=random.Random(7))  # noqa: S311 - pauses
    yield Doors(
        database=database,
        broadcast=broadcast,
        cache=cache,
        exchange=exchange,
        symbols=SymbolCatalogue(exchange, cache, clock),
        clock=clock,
        stopping=anyio.Event(),
    )
    await exchange.close()
    await cache.close()
    await broadcast.close()


@asynccontextmanager
async def open_stage(
    database: Database, redis_url: str, *, venue: str = "http://127.0.0.1:9", **settings: Any
) -> AsyncIterator[Stage]:
    """Serve the live half on a free port until the end."""
    async with (
        _doors(database, redis_url, venue) as doors,
        counted(database) as statements,
        anyio.create_task_group() as group,
    ):
        half = LiveHalf(doors, metrics_token=METRICS_TOKEN, poll_s=0.1, **settings)
        app = Litestar(
            live.routes,
            plugins=[half],
            middleware=[DefineMiddleware(Porter, exclude_from_auth_key="exclude_from_auth")],
            exception_handlers={BotwardenError: _problem},
            openapi_config=docs.openapi_config(),
        )
        app.state.doors = doors
        server = ApiServer(app, take_address("127.0.0.1", 0))
        house = House(database, doors.broadcast, half.hub, doors.stopping, redis_url, statements)
        group.start_soon(doors.broadcast.run)
        group.start_soon(server.serve)
        yield Stage(house, doors, server, await server.address())
        doors.stopping.set()
        with anyio.fail_after(10):
            await server.stop()
        group.cancel_scope.cancel()
