"""The public endpoints: time, rules, candles, books, trades.

Source: Binance spot API, general and market data endpoints.
"""

from collections.abc import Sequence
from typing import Any

from botwarden.exchange.paper import errors, events
from botwarden.exchange.paper.amounts import UNIT, text
from botwarden.exchange.paper.bars import INTERVAL_MS
from botwarden.exchange.paper.calls import Call, Endpoint, weight
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.instruments import description, exchange_filters
from botwarden.exchange.paper.limits import interval_of
from botwarden.exchange.paper.market import SymbolMarket, Trade
from botwarden.exchange.paper.params import Params
from botwarden.exchange.paper.symbol_choice import named_symbols, wanted_status
from botwarden.exchange.paper.time_units import candles_in_micros

AVERAGE_MINUTES = 5


async def ping(_call: Call) -> Any:
    """GET ping."""
    return {}


async def server_time(call: Call) -> Any:
    """GET time."""
    return {"serverTime": call.now_ms}


async def exchange_info(call: Call) -> Any:
    """GET exchangeInfo."""
    call.params.ignore("permissions", "showPermissionSets")
    status, chosen = wanted_status(call), named_symbols(call)
    venue = call.venue
    return {
        "timezone": "UTC",
        "serverTime": call.now_ms,
        "rateLimits": rate_limits(call),
        "exchangeFilters": exchange_filters(),
        "symbols": [
            description(symbol.instrument, symbol.status)
            for symbol in (venue.market.symbols.values() if chosen is None else chosen)
            if status is None or symbol.status == status
        ],
    }


def rate_limits(call: Call) -> list[dict[str, Any]]:
    """Return the limits as the venue shows them."""
    venue = call.venue
    windows = [("REQUEST_WEIGHT", 60, venue.weights.limit)]
    windows += [("ORDERS", window, limit) for window, limit in venue.orders.limits.items()]
    windows.append(("RAW_REQUESTS", 300, 300_000))
    return [
        {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}
        for kind, window, limit in windows
        for interval, number in [interval_of(window)]
    ]


async def klines(call: Call) -> Any:
    """GET klines."""
    symbol, params = call.symbol(), call.params
    interval = params.required("interval")
    if interval not in INTERVAL_MS:
        raise ApiError(-1120, "Invalid interval.")
    limit = params.limit(500, 1000)
    from_ms, until_ms = params.time_ms("startTime"), params.time_ms("endTime")
    params.ignore("timeZone")
    bars = await call.venue.market.read_history(
        symbol.instrument.symbol, interval, from_ms=from_ms, until_ms=until_ms, limit=limit
    )
    return [events.kline_row(interval, bar) for bar in bars]


async def depth(call: Call) -> Any:
    """GET depth."""
    symbol = call.symbol()
    call.params.ignore("symbolStatus")
    limit = call.params.limit(100, 5000)
    return events.depth(call.venue.engine.book(symbol), limit)


async def average_price(call: Call) -> Any:
    """GET avgPrice."""
    symbol = call.symbol()
    average = average_of(call, symbol)
    return {"mins": AVERAGE_MINUTES, "price": text(average), "closeTime": call.now_ms}


def average_of(call: Call, symbol: SymbolMarket) -> int:
    """Return the average price of the last minutes. Refuses a symbol without a price."""
    if symbol.price is None:
        raise errors.market_closed()
    bars = call.venue.market.last_minutes(symbol.instrument.symbol, AVERAGE_MINUTES)
    return events.average_price(bars, symbol.price)


async def trades(call: Call) -> Any:
    """GET trades."""
    symbol = call.symbol()
    limit = call.params.limit(500, 1000)
    return _shown_trades(list(symbol.recent)[-limit:])


async def historical_trades(call: Call) -> Any:
    """GET historicalTrades: from an id on, as far back as trades are kept."""
    symbol, params = call.symbol(), call.params
    limit, from_id = params.limit(500, 1000), params.integer("fromId")
    if from_id is None:
        return _shown_trades(list(symbol.recent)[-limit:])
    return _shown_trades([made for made in symbol.recent if made.trade_id >= from_id][:limit])


def _shown_trades(made_trades: Sequence[Trade]) -> list[dict[str, Any]]:
    return [
        {
            "id": made.trade_id,
            "price": text(made.price),
            "qty": text(made.quantity),
            "quoteQty": text(made.price * made.quantity // UNIT),
            "time": made.time_ms,
            "isBuyerMaker": made.buyer_is_maker,
            "isBestMatch": True,
        }
        for made in made_trades
    ]


async def aggregate_trades(call: Call) -> Any:
    """GET aggTrades: every trade is an aggregate of itself."""
    symbol, params = call.symbol(), call.params
    limit, from_id = params.limit(500, 1000), params.integer("fromId")
    from_ms, until_ms = params.time_ms("startTime"), params.time_ms("endTime")
    found = [
        made
        for made in symbol.recent
        if made.trade_id >= (from_id or 0)
        and made.time_ms >= (from_ms or 0)
        and (until_ms is None or made.time_ms <= until_ms)
    ]
    chosen = found[-limit:] if from_id is None and from_ms is None else found[:limit]
    keys = ("a", "p", "q", "f", "l", "T", "m", "M")
    return [{key: events.aggregate_trade(made)[key] for key in keys} for made in chosen]


def _depth_weight(params: Params) -> int:
    limit = params.limit(100, 5000)
    return next(cost for most, cost in ((100, 5), (500, 25), (1000, 50), (5000, 250)) if limit <= most)


_KLINES = Endpoint(handle=klines, weight=weight(2), in_micros=candles_in_micros)

ENDPOINTS = {
    ("GET", "ping"): Endpoint(handle=ping, weight=weight(1)),
    ("GET", "time"): Endpoint(handle=server_time, weight=weight(1)),
    ("GET", "exchangeInfo"): Endpoint(handle=exchange_info, weight=weight(20)),
    ("GET", "klines"): _KLINES,
    ("GET", "uiKlines"): _KLINES,
    ("GET", "avgPrice"): Endpoint(handle=average_price, weight=weight(2)),
    ("GET", "depth"): Endpoint(handle=depth, weight=_depth_weight),
    ("GET", "trades"): Endpoint(handle=trades, weight=weight(25)),
    ("GET", "historicalTrades"): Endpoint(handle=historical_trades, weight=weight(25)),
    ("GET", "aggTrades"): Endpoint(handle=aggregate_trades, weight=weight(4)),
}
