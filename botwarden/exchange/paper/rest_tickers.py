"""The public endpoints of prices: last and best, and what they did in a day or in a window of any length.

Source: Binance spot API, market data endpoints, tickers.
"""

import re
from typing import Any

import anyio.to_thread

from botwarden.exchange.paper import errors, events
from botwarden.exchange.paper.amounts import text
from botwarden.exchange.paper.bars import Bar
from botwarden.exchange.paper.book import best_of
from botwarden.exchange.paper.calls import Call, Endpoint, weight_by
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.market import SymbolMarket
from botwarden.exchange.paper.params import Params
from botwarden.exchange.paper.symbol_choice import named_symbols, shown_for_each
from botwarden.exchange.paper.times import DAY_MS, MINUTE_MS

#: Windows that a client may name: minutes, hours and days, each up to the next unit.
_WINDOW = re.compile(r"(?:([1-9]|[1-5][0-9])m|([1-9]|1[0-9]|2[0-3])h|([1-7])d)")
_UNITS_MS = (MINUTE_MS, 60 * MINUTE_MS, DAY_MS)

#: Of each symbol, and no more than this for many.
_WEIGHT, _MOST_WEIGHT = 4, 200


async def price(call: Call) -> Any:
    """GET ticker/price."""
    return shown_for_each(
        call, lambda symbol: {"symbol": symbol.instrument.symbol, "price": text(symbol.price or 0)}
    )


async def book_ticker(call: Call) -> Any:
    """GET ticker/bookTicker."""

    def shown(symbol: SymbolMarket) -> Any:
        return {
            "symbol": symbol.instrument.symbol,
            **_best(call, symbol),
        }

    return shown_for_each(call, shown)


async def day_ticker(call: Call) -> Any:
    """GET ticker/24hr: the last 24 hours."""
    is_mini = _is_mini(call)

    def shown(symbol: SymbolMarket) -> Any:
        market = call.venue.market
        day = _or_still(market.day(symbol.instrument.symbol), symbol, market.minute_ms)
        summed = _summed(call, symbol, day, opened_ms=market.position_ms - DAY_MS, is_mini=is_mini)
        if is_mini:
            return summed
        return (
            summed
            | _best(call, symbol)
            | {
                "prevClosePrice": text(day.open),
                "lastQty": text(symbol.recent[-1].quantity if symbol.recent else 0),
            }
        )

    return shown_for_each(call, shown)


async def trading_day_ticker(call: Call) -> Any:
    """GET ticker/tradingDay: since midnight UTC."""
    call.params.ignore("timeZone")
    position_ms = call.venue.market.position_ms
    return await _since(call, position_ms - position_ms % DAY_MS)


async def window_ticker(call: Call) -> Any:
    """GET ticker: a window that ends now."""
    size = call.params.text("windowSize") or "1d"
    found = _WINDOW.fullmatch(size)
    if found is None:
        raise ApiError(-1131, "Bad windowSize; expected 1m to 59m, 1h to 23h or 1d to 7d.")
    length_ms = next(
        int(number) * unit for number, unit in zip(found.groups(), _UNITS_MS, strict=True) if number
    )
    minute_ms = call.venue.market.minute_ms
    return await _since(call, minute_ms + MINUTE_MS - length_ms)


async def _since(call: Call, from_ms: int) -> Any:
    """Return what the symbols that are named have done since a minute of the market's time."""
    if not call.params.has("symbol") and not call.params.has("symbols"):
        raise errors.missing_either("symbol", "symbols")
    is_mini, market = _is_mini(call), call.venue.market
    names = [symbol.instrument.symbol for symbol in named_symbols(call) or []]
    minute_ms = market.minute_ms

    def read() -> dict[str, Bar | None]:
        return {name: market.closed_since(name, from_ms, minute_ms) for name in names}

    closed = await anyio.to_thread.run_sync(read)

    def shown(symbol: SymbolMarket) -> Any:
        bar = market.with_live(closed[symbol.instrument.symbol], symbol, minute_ms)
        return _summed(call, symbol, _or_still(bar, symbol, from_ms), opened_ms=from_ms, is_mini=is_mini)

    return shown_for_each(call, shown)


def _is_mini(call: Call) -> bool:
    kind = call.params.text("type") or "FULL"
    if kind not in ("FULL", "MINI"):
        raise ApiError(-1139, "Invalid ticker type.")
    return kind == "MINI"


def _or_still(bar: Bar | None, symbol: SymbolMarket, opened_ms: int) -> Bar:
    """Return the candle, or that of a time without trades."""
    last = symbol.price or 0
    return bar or Bar(opened_ms, last, last, last, last, 0, 0, 0, 0, 0)


def _summed(call: Call, symbol: SymbolMarket, bar: Bar, *, opened_ms: int, is_mini: bool) -> dict[str, Any]:
    newest_id = symbol.next_trade_id - 1
    shown = {
        "symbol": symbol.instrument.symbol,
        "openPrice": text(bar.open),
        "highPrice": text(bar.high),
        "lowPrice": text(bar.low),
        "lastPrice": text(symbol.price or 0),
        "volume": text(bar.volume),
        "quoteVolume": text(bar.quote_volume),
        "openTime": opened_ms,
        "closeTime": call.venue.market.position_ms,
        "firstId": max(0, newest_id - bar.trades + 1),
        "lastId": newest_id,
        "count": bar.trades,
    }
    if is_mini:
        return shown
    return shown | {
        "priceChange": text(bar.close - bar.open),
        "priceChangePercent": events.percent_change(bar),
        "weightedAvgPrice": text(events.weighted_average(bar)),
    }


def _best(call: Call, symbol: SymbolMarket) -> dict[str, str]:
    book = call.venue.engine.book(symbol)
    bid, ask = best_of(book.bids()), best_of(book.asks())
    return {
        "bidPrice": text(bid.price),
        "bidQty": text(bid.quantity),
        "askPrice": text(ask.price),
        "askQty": text(ask.quantity),
    }


def _by_symbols(params: Params) -> int:
    """Return the weight of a request that reads a window of each symbol."""
    named = params.peek("symbols") or ""
    return min(_MOST_WEIGHT, _WEIGHT * (named.count(",") + 1))


ENDPOINTS = {
    ("GET", "ticker/price"): Endpoint(handle=price, weight=weight_by("symbol", given=2, absent=4)),
    ("GET", "ticker/bookTicker"): Endpoint(handle=book_ticker, weight=weight_by("symbol", given=2, absent=4)),
    ("GET", "ticker/24hr"): Endpoint(handle=day_ticker, weight=weight_by("symbol", given=2, absent=80)),
    ("GET", "ticker/tradingDay"): Endpoint(handle=trading_day_ticker, weight=_by_symbols),
    ("GET", "ticker"): Endpoint(handle=window_ticker, weight=_by_symbols),
}
