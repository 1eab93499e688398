"""What only the house may do: accounts are made and wiped here, faults are ordered in the modules beside it.

Not part of the venue's protocol.

The invariant: without the right token nothing behind `/paper/` answers anything but 403.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web

from botwarden.errors import Missing, Refused
from botwarden.exchange.paper.amounts import text, units
from botwarden.exchange.paper.fault_admin import FaultAdmin
from botwarden.exchange.paper.fault_market import MarketAdmin
from botwarden.exchange.paper.security import public_key
from botwarden.exchange.paper.venue import PaperVenue

HEADER = "X-Paper-Admin"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NewAccount(msgspec.Struct, forbid_unknown_fields=True):
    """POST /paper/accounts. `secret_key`: an HMAC's secret, or a public key of Ed25519 or RSA as PEM."""

    api_key: str
    secret_key: str
    balances: dict[str, str | int] | None = None


class Reset(msgspec.Struct, forbid_unknown_fields=True):
    """POST /paper/accounts/reset."""

    api_key: str
    balances: dict[str, str | int] | None = None


class Admin:
    """The admin endpoints of one venue."""

    def __init__(self, venue: PaperVenue) -> None:
        self._venue = venue

    def add_routes(self, app: web.Application) -> None:
        """Put the endpoints into the server."""
        app.router.add_post("/paper/accounts", self._guarded(self._register))
        app.router.add_post("/paper/accounts/reset", self._guarded(self._reset))
        app.router.add_get("/paper/status", self._guarded(self._status))
        FaultAdmin(self._venue).add_routes(app, self._guarded)
        MarketAdmin(self._venue).add_routes(app, self._guarded)

    def _guarded(self, handle: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            token = self._venue.options.admin_token
            given = request.headers.get(HEADER, "")
            if not token or not hmac.compare_digest(given.encode(), token.encode()):
                return _problem(HTTPStatus.FORBIDDEN, "the admin token is missing or wrong")
            try:
                return await handle(request)
            except (msgspec.DecodeError, ValueError) as wrong:
                return _problem(HTTPStatus.BAD_REQUEST, str(wrong) or "not an amount")
            except Missing as missing:
                return _problem(HTTPStatus.NOT_FOUND, str(missing))
            except Refused as refused:
                return _problem(HTTPStatus.CONFLICT, str(refused))

        return guarded

    async def _register(self, request: web.Request) -> web.StreamResponse:
        wish = msgspec.json.decode(await request.read(), type=NewAccount)
        if not wish.api_key or not wish.secret_key:
            return _problem(HTTPStatus.BAD_REQUEST, "api_key and secret_key must not be empty")
        public_key(wish.secret_key)  # Raises if it is one that nobody can sign for.
        balances = _balances(wish.balances)
        account = self._venue.engine.register(wish.api_key, wish.secret_key, balances)
        await self._venue.store.settled()
        if account is None:
            return _problem(HTTPStatus.CONFLICT, "the key exists with another secret")
        return web.json_response({"account_id": account.account_id}, status=HTTPStatus.CREATED)

    async def _reset(self, request: web.Request) -> web.StreamResponse:
        wish = msgspec.json.decode(await request.read(), type=Reset)
        account = self._venue.engine.accounts.by_key.get(wish.api_key)
        if account is None:
            return _problem(HTTPStatus.NOT_FOUND, "there is no such key")
        balances = _balances(wish.balances)
        self._venue.engine.reset(account, balances, self._venue.clock.now_ms())
        await self._venue.store.settled()
        return web.json_response({"account_id": account.account_id})

    async def _status(self, _request: web.Request) -> web.StreamResponse:
        venue = self._venue
        market = venue.market
        return web.json_response(
            {
                "market": market.source.identity,
                "market_time": market.position_ms,
                "server_time": venue.clock.now_ms(),
                "speed": venue.options.speed,
                "has_ended": market.has_ended,
                "accounts": len(venue.engine.accounts.by_id),
                "symbols": {
                    name: {"status": symbol.status, "price": text(symbol.price or 0)}
                    for name, symbol in market.symbols.items()
                },
            }
        )


def _balances(wish: Mapping[str, str | int] | None) -> dict[str, int] | None:
    if wish is None:
        return None
    return {asset.upper(): units(str(amount)) for asset, amount in wish.items()}


def _problem(status: HTTPStatus, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
