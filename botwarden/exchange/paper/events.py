"""What the market streams say, as the venue writes it. Pure.

Source: Binance spot API, WebSocket streams.
"""

from collections.abc import Iterable
from typing import Any

from botwarden.exchange.paper.amounts import UNIT, text
from botwarden.exchange.paper.bars import INTERVAL_MS, Bar
from botwarden.exchange.paper.book import Book, Level, best_of
from botwarden.exchange.paper.market import Trade


def kline(symbol: str, interval: str, bar: Bar, *, is_closed: bool, last_trade_id: int, now_ms: int) -> Any:
    """A candle that grows or closes."""
    return {
        "e": "kline",
        "E": now_ms,
        "s": symbol,
        "k": {
            "t": bar.opened_ms,
            "T": bar.opened_ms + INTERVAL_MS[interval] - 1,
            "s": symbol,
            "i": interval,
            "f": max(0, last_trade_id - bar.trades + 1),
            "L": last_trade_id,
            "o": text(bar.open),
            "c": text(bar.close),
            "h": text(bar.high),
            "l": text(bar.low),
            "v": text(bar.volume),
            "n": bar.trades,
            "x": is_closed,
            "q": text(bar.quote_volume),
            "V": text(bar.taker_volume),
            "Q": text(bar.taker_quote),
            "B": "0",
        },
    }


def kline_row(interval: str, bar: Bar) -> list[Any]:
    """A candle as GET klines shows it."""
    return [
        bar.opened_ms,
        text(bar.open),
        text(bar.high),
        text(bar.low),
        text(bar.close),
        text(bar.volume),
        bar.opened_ms + INTERVAL_MS[interval] - 1,
        text(bar.quote_volume),
        bar.trades,
        text(bar.taker_volume),
        text(bar.taker_quote),
        "0",
    ]


def trade(made: Trade) -> Any:
    """One trade."""
    return {
        "e": "trade",
        "E": made.time_ms,
        "s": made.symbol,
        "t": made.trade_id,
        "p": text(made.price),
        "q": text(made.quantity),
        "T": made.time_ms,
        "m": made.buyer_is_maker,
        "M": True,
    }


def aggregate_trade(made: Trade) -> Any:
    """One trade as an aggregate of itself."""
    return {
        "e": "aggTrade",
        "E": made.time_ms,
        "s": made.symbol,
        "a": made.trade_id,
        "p": text(made.price),
        "q": text(made.quantity),
        "f": made.trade_id,
        "l": made.trade_id,
        "T": made.time_ms,
        "m": made.buyer_is_maker,
        "M": True,
    }


def book_ticker(symbol: str, book: Book) -> Any:
    """The best prices; the venue gives this one neither a name nor a time."""
    bid, ask = best_of(book.bids()), best_of(book.asks())
    return {
        "u": book.update_id,
        "s": symbol,
        "b": text(bid.price),
        "B": text(bid.quantity),
        "a": text(ask.price),
        "A": text(ask.quantity),
    }


def depth(book: Book, limit: int) -> Any:
    """The book as GET depth and the partial depth streams show it."""
    return {
        "lastUpdateId": book.update_id,
        "bids": [
            [text(level.price), text(level.quantity)]
            for level, _ in zip(book.bids(), range(limit), strict=False)
        ],
        "asks": [
            [text(level.price), text(level.quantity)]
            for level, _ in zip(book.asks(), range(limit), strict=False)
        ],
    }


def depth_update(symbol: str, before: Book, after: Book, now_ms: int) -> Any:
    """What has changed on the book; a level that is gone has no quantity."""
    return {
        "e": "depthUpdate",
        "E": now_ms,
        "s": symbol,
        "U": before.update_id + 1,
        "u": after.update_id,
        "b": _changed(before.bids(), after.bids()),
        "a": _changed(before.asks(), after.asks()),
    }


def _changed(before: Iterable[Level], after: Iterable[Level]) -> list[list[str]]:
    old, new = dict(before), dict(after)
    gone = [[text(price), text(0)] for price in old if price not in new]
    return gone + [
        [text(price), text(quantity)] for price, quantity in new.items() if old.get(price) != quantity
    ]


def mini_ticker(symbol: str, day: Bar, now_ms: int) -> Any:
    """The last 24 hours in short."""
    return {
        "e": "24hrMiniTicker",
        "E": now_ms,
        "s": symbol,
        "c": text(day.close),
        "o": text(day.open),
        "h": text(day.high),
        "l": text(day.low),
        "v": text(day.volume),
        "q": text(day.quote_volume),
    }


def day_ticker(symbol: str, book: Book, day: Bar, *, last: Trade | None, opened_ms: int, now_ms: int) -> Any:
    """The last 24 hours at length; `last`: the newest trade."""
    bid, ask = best_of(book.bids()), best_of(book.asks())
    newest_id = last.trade_id if last is not None else 0
    return {
        "e": "24hrTicker",
        "E": now_ms,
        "s": symbol,
        "p": text(day.close - day.open),
        "P": percent_change(day),
        "w": text(weighted_average(day)),
        "x": text(day.open),
        "c": text(day.close),
        "Q": text(last.quantity if last is not None else 0),
        "b": text(bid.price),
        "B": text(bid.quantity),
        "a": text(ask.price),
        "A": text(ask.quantity),
        "o": text(day.open),
        "h": text(day.high),
        "l": text(day.low),
        "v": text(day.volume),
        "q": text(day.quote_volume),
        "O": opened_ms,
        "C": now_ms,
        "F": max(0, newest_id - day.trades + 1),
        "L": newest_id,
        "n": day.trades,
    }


def goodbye(now_ms: int) -> Any:
    """The venue is about to go. Source: Binance spot API, change log, 2026-05."""
    return {"e": "serverShutdown", "E": now_ms}


def percent_change(bar: Bar) -> str:
    """Return by how much a price has changed, in percent."""
    return f"{100 * (bar.close - bar.open) / bar.open:.3f}"


def weighted_average(bar: Bar) -> int:
    """Return the average price by volume; the last one when nothing was traded."""
    return bar.quote_volume * UNIT // bar.volume if bar.volume else bar.close


def average_price(bars: list[Bar], price: int) -> int:
    """Return the average price of these minutes, weighted by volume; the last price without any."""
    volume = sum(bar.volume for bar in bars)
    return sum(bar.quote_volume for bar in bars) * UNIT // volume if volume else price
