"""What happens to a market and its accounts from outside, on order.

    POST   /paper/symbols/BTCUSDT   {"status": "HALT"}; also tick, step, min_notional,
                                    max_position ("0": none), liquidity (of the usual 100), reach and beyond,
                                    and expire_orders; * for all symbols
    DELETE /paper/symbols/BTCUSDT   delisted: it is not known any more, until the next start
    POST   /paper/orders/end        {"api_key": ..., "symbol": "BTCUSDT", "order_id": 7, "cause": "exchange"}
    POST   /paper/balances          {"api_key": ..., "asset": "BTC", "change": "-0.5"}

TRADING trades. HALT does not, and shows its market; BREAK shows nothing on streams either; CANCEL_ONLY
shows all but candles. Orders can be cancelled in each. Part of the admin endpoints and shut like them.

The invariant: no change leaves money uncounted: rules keep prices times sizes within eight decimals, and
a balance cannot be taken below zero.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Literal

import msgspec
from aiohttp import web

from botwarden.errors import Missing, Refused
from botwarden.exchange.paper.accounts import Account
from botwarden.exchange.paper.amounts import UNIT, text, units
from botwarden.exchange.paper.expiry import Cause, Reach
from botwarden.exchange.paper.instruments import description
from botwarden.exchange.paper.market import SymbolMarket
from botwarden.exchange.paper.venue import PaperVenue

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Guard = Callable[[Handler], Handler]

_MOST_LIQUIDITY = 10_000

Status = Literal["TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY"]


class SymbolWish(msgspec.Struct, forbid_unknown_fields=True):
    """POST /paper/symbols/NAME: what is not given stays."""

    status: Status | None = None
    tick: str | None = None
    step: str | None = None
    min_notional: str | None = None
    #: The most that an account may hold or be buying; "0" for no limit.
    max_position: str | None = None
    #: How much there is on the book, of the usual hundred; nothing at zero.
    liquidity: int | None = None
    #: How far from the last price orders may take, as a share of it; "1": as far as the book goes.
    reach: str | None = None
    #: What ends an order that would go further, with what it has taken until then.
    beyond: Literal["price_range", "own_order"] | None = None
    #: Whether open orders end as EXPIRED, by the exchange.
    expire_orders: bool = False


class OrdersWish(msgspec.Struct, forbid_unknown_fields=True):
    """POST /paper/orders/end: an open order of a key, or all that it has of a symbol."""

    api_key: str
    symbol: str
    order_id: int | None = None
    cause: Cause = "exchange"


class BalanceWish(msgspec.Struct, forbid_unknown_fields=True):
    """POST /paper/balances."""

    api_key: str
    asset: str
    #: Added to what is free; below zero: taken away.
    change: str


class MarketAdmin:
    """The outside forces of one venue."""

    def __init__(self, venue: PaperVenue) -> None:
        self._venue = venue

    def add_routes(self, app: web.Application, guarded: Guard) -> None:
        """Put the endpoints into the server."""
        app.router.add_post("/paper/symbols/{name}", guarded(self._change_symbols))
        app.router.add_delete("/paper/symbols/{name}", guarded(self._delist))
        app.router.add_post("/paper/orders/end", guarded(self._end_orders))
        app.router.add_post("/paper/balances", guarded(self._change_balance))

    async def _change_symbols(self, request: web.Request) -> web.StreamResponse:
        wish = msgspec.json.decode(await request.read(), type=SymbolWish)
        chosen = self._chosen(request.match_info["name"])
        for symbol in chosen:
            self._change(symbol, wish)
        await self._venue.store.settled()
        shown = [description(symbol.instrument, symbol.status) for symbol in chosen]
        return web.json_response({"symbols": shown})

    async def _delist(self, request: web.Request) -> web.StreamResponse:
        for symbol in self._chosen(request.match_info["name"]):
            self._expire_orders(symbol)
            del self._venue.market.symbols[symbol.instrument.symbol]
        await self._venue.store.settled()
        return web.json_response({})

    async def _end_orders(self, request: web.Request) -> web.StreamResponse:
        wish = msgspec.json.decode(await request.read(), type=OrdersWish)
        account, now_ms = self._account(wish.api_key), self._venue.clock.now_ms()
        if wish.symbol not in self._venue.market.symbols:
            raise Missing(f"symbol: there is no {wish.symbol}")
        ended = [order for order in account.orders_of(wish.symbol) if wish.order_id in (None, order.order_id)]
        if wish.order_id is not None and not ended:
            raise Missing(f"there is no open order {wish.order_id}")
        for order in ended:
            self._venue.engine.expire(account, order, wish.cause, now_ms)
        await self._venue.store.settled()
        return web.json_response({"ended": [order.order_id for order in ended]})

    async def _change_balance(self, request: web.Request) -> web.StreamResponse:
        wish = msgspec.json.decode(await request.read(), type=BalanceWish)
        account = self._account(wish.api_key)
        asset = wish.asset.upper()
        size = _amount("change", wish.change.removeprefix("-"))
        change = -size if wish.change.startswith("-") else size
        held = account.holding(asset)
        if held.free + change < 0:
            raise Refused(f"change: only {text(held.free)} {asset} are free")
        self._venue.engine.move(account, asset, change, self._venue.clock.now_ms())
        await self._venue.store.settled()
        return web.json_response({"asset": asset, "free": text(held.free)}, status=HTTPStatus.OK)

    def _account(self, api_key: str) -> Account:
        account = self._venue.engine.accounts.by_key.get(api_key)
        if account is None:
            raise Missing("there is no such key")
        return account

    def _chosen(self, name: str) -> list[SymbolMarket]:
        known = self._venue.market.symbols
        if name == "*":
            return list(known.values())
        if name not in known:
            raise Missing(f"there is no symbol {name}")
        return [known[name]]

    def _change(self, symbol: SymbolMarket, wish: SymbolWish) -> None:
        before = symbol.instrument
        rules = before._replace(
            tick=_amount("tick", wish.tick, before.tick),
            step=_amount("step", wish.step, before.step),
            min_notional=_amount("min_notional", wish.min_notional, before.min_notional),
            max_position=_amount("max_position", wish.max_position, before.max_position),
        )
        shown_tick = self._venue.market.source.instruments[before.symbol].tick
        if 0 in (rules.tick, rules.step) or rules.tick * rules.step % UNIT or shown_tick * rules.step % UNIT:
            raise Refused("tick, step: above zero, and with no more than eight decimals between them")
        if wish.liquidity is not None and not 0 <= wish.liquidity <= _MOST_LIQUIDITY:
            raise Refused(f"liquidity: 0 to {_MOST_LIQUIDITY}; 100 is usual")
        share = _amount("reach", wish.reach, symbol.reach.share)
        reach = Reach(share, wish.beyond or symbol.reach.beyond)
        if reach.share > UNIT:
            raise Refused('reach: "0" to "1", a share of the price')
        symbol.instrument, symbol.reach = rules, reach
        symbol.liquidity = symbol.liquidity if wish.liquidity is None else wish.liquidity
        symbol.take_trade_id()  # The book is another one, and says so.
        symbol.status = wish.status or symbol.status
        if wish.expire_orders:
            self._expire_orders(symbol)

    def _expire_orders(self, symbol: SymbolMarket) -> None:
        now_ms, engine = self._venue.clock.now_ms(), self._venue.engine
        for account in engine.accounts.by_id.values():
            for order in list(account.open_orders.values()):
                if order.symbol == symbol.instrument.symbol:
                    engine.expire(account, order, "exchange", now_ms)


def _amount(field: str, wish: str | None, known: int = 0) -> int:
    """Return an amount in units; what is known if none is wished."""
    if wish is None:
        return known
    try:
        return units(wish)
    except ValueError:
        raise Refused(f"{field}: a plain decimal number with at most eight decimals") from None
