"""The public endpoints: time, rules, candles, prices, books.

Source: Binance spot API, general and market data endpoints.
"""

from collections.abc import Sequence
from typing import Any

import anyio.to_thread
import msgspec

from botwarden.exchange.paper import errors, events
from botwarden.exchange.paper.amounts import UNIT, text
from botwarden.exchange.paper.bars import INTERVAL_MS, Bar
from botwarden.exchange.paper.book import best_of
from botwarden.exchange.paper.calls import Call, Endpoint, weight, weight_by
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.instruments import description
from botwarden.exchange.paper.limits import interval_of
from botwarden.exchange.paper.market import SymbolMarket, Trade
from botwarden.exchange.paper.params import Params
from botwarden.exchange.paper.time_units import candles_in_micros
from botwarden.exchange.paper.times import DAY_MS

AVERAGE_MINUTES = 5

_STATUSES = ("TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY")

#: More minutes than this are put together in a worker thread.
QUICK_MINUTES = 5_000


async def ping(_call: Call) -> Any:
    """GET ping."""
    return {}


async def server_time(call: Call) -> Any:
    """GET time."""
    return {"serverTime": call.now_ms}


async def exchange_info(call: Call) -> Any:
    """GET exchangeInfo."""
    call.params.ignore("permissions", "showPermissionSets")
    status, chosen = _status(call), _chosen(call)
    venue = call.venue
    return {
        "timezone": "UTC",
        "serverTime": call.now_ms,
        "rateLimits": rate_limits(call),
        "exchangeFilters": [],
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
    market, name = call.venue.market, symbol.instrument.symbol

    def read() -> list[Bar]:
        return market.history(
            name, interval, from_ms=from_ms, until_ms=until_ms, limit=limit, present=present
        )

    present = market.present(name, interval)
    is_quick = market.work_of(interval, limit) <= QUICK_MINUTES
    bars = read() if is_quick else await anyio.to_thread.run_sync(read)
    return [events.kline_row(interval, bar) for bar in bars]


async def price(call: Call) -> Any:
    """GET ticker/price."""
    return _each(call, lambda symbol: {"symbol": _name(symbol), "price": text(symbol.price or 0)})


async def book_ticker(call: Call) -> Any:
    """GET ticker/bookTicker."""

    def shown(symbol: SymbolMarket) -> Any:
        book = call.venue.engine.book(symbol)
        bid, ask = best_of(book.bids()), best_of(book.asks())
        return {
            "symbol": _name(symbol),
            "bidPrice": text(bid.price),
            "bidQty": text(bid.quantity),
            "askPrice": text(ask.price),
            "askQty": text(ask.quantity),
        }

    return _each(call, shown)


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
    bars = call.venue.market.last_minutes(_name(symbol), AVERAGE_MINUTES)
    return events.average_price(bars, symbol.price)


async def day_ticker(call: Call) -> Any:
    """GET ticker/24hr."""
    kind = call.params.text("type") or "FULL"
    if kind not in ("FULL", "MINI"):
        raise ApiError(-1139, "Invalid ticker type.")
    is_mini = kind == "MINI"
    return _each(call, lambda symbol: _day(call, symbol, is_mini=is_mini))


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
    ("GET", "ticker/price"): Endpoint(handle=price, weight=weight_by("symbol", given=2, absent=4)),
    ("GET", "ticker/bookTicker"): Endpoint(handle=book_ticker, weight=weight_by("symbol", given=2, absent=4)),
    ("GET", "ticker/24hr"): Endpoint(handle=day_ticker, weight=weight_by("symbol", given=2, absent=80)),
    ("GET", "avgPrice"): Endpoint(handle=average_price, weight=weight(2)),
    ("GET", "depth"): Endpoint(handle=depth, weight=_depth_weight),
    ("GET", "trades"): Endpoint(handle=trades, weight=weight(25)),
    ("GET", "historicalTrades"): Endpoint(handle=historical_trades, weight=weight(25)),
    ("GET", "aggTrades"): Endpoint(handle=aggregate_trades, weight=weight(4)),
}


def _name(symbol: SymbolMarket) -> str:
    return symbol.instrument.symbol


def _chosen(call: Call) -> list[SymbolMarket] | None:
    """Return the symbols that `symbol` or `symbols` names; None if neither was sent."""
    params = call.params
    if params.has("symbol") and params.has("symbols"):
        raise errors.bad_combination()
    if params.has("symbol"):
        return [call.symbol()]
    listed = params.text("symbols")
    if listed is None:
        return None
    try:
        names = msgspec.json.decode(listed, type=list[str])
    except msgspec.DecodeError:
        raise errors.illegal_characters(
            "symbols", r"^\\[(\"[\\w\\-._&&[^a-z]]{1,50}\"(,\"[\\w\\-._&&[^a-z]]{1,50}\"){0,}){0,1}\\]$"
        ) from None
    if any(name not in call.venue.market.symbols for name in names):
        raise errors.invalid_symbol()
    return [call.venue.market.symbols[name] for name in names]


def _each(call: Call, shown: Any) -> Any:
    """Return what there is to show of one symbol, or a list for several."""
    status, chosen = _status(call), _chosen(call)
    if chosen is not None and status is not None and any(symbol.status != status for symbol in chosen):
        raise ApiError(-1220, "The symbol's status does not match the requested symbolStatus.")
    if call.params.has("symbol") and chosen:
        if chosen[0].price is None:
            raise errors.market_closed()
        return shown(chosen[0])
    everything = call.venue.market.symbols.values() if chosen is None else chosen
    return [
        shown(symbol) for symbol in everything if symbol.price is not None and status in (None, symbol.status)
    ]


def _status(call: Call) -> str | None:
    status = call.params.text("symbolStatus")
    if status is not None and status not in _STATUSES:
        raise ApiError(-1122, "Invalid symbolStatus.")
    return status


def _day(call: Call, symbol: SymbolMarket, *, is_mini: bool) -> Any:
    name, market = _name(symbol), call.venue.market
    last = symbol.price or 0
    day = market.day(name) or Bar(market.minute_ms, last, last, last, last, 0, 0, 0, 0, 0)
    newest_id = symbol.next_trade_id - 1
    shown = {
        "symbol": name,
        "openPrice": text(day.open),
        "highPrice": text(day.high),
        "lowPrice": text(day.low),
        "lastPrice": text(last),
        "volume": text(day.volume),
        "quoteVolume": text(day.quote_volume),
        "openTime": market.position_ms - DAY_MS,
        "closeTime": market.position_ms,
        "firstId": max(0, newest_id - day.trades + 1),
        "lastId": newest_id,
        "count": day.trades,
    }
    if is_mini:
        return shown
    book = call.venue.engine.book(symbol)
    bid, ask = best_of(book.bids()), best_of(book.asks())
    return shown | {
        "priceChange": text(day.close - day.open),
        "priceChangePercent": events.percent_change(day),
        "weightedAvgPrice": text(events.weighted_average(day)),
        "prevClosePrice": text(day.open),
        "lastQty": text(symbol.recent[-1].quantity if symbol.recent else 0),
        "bidPrice": text(bid.price),
        "bidQty": text(bid.quantity),
        "askPrice": text(ask.price),
        "askQty": text(ask.quantity),
    }
