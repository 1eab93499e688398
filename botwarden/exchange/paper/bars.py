"""Candles: how they are cut, put together from minutes, and walked through.

Pure. The invariant: the points of a minute, put together, are exactly that minute's candle.
"""

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from botwarden.exchange.paper.amounts import floor_to
from botwarden.exchange.paper.times import DAY_MS, MINUTE_MS


class Bar(NamedTuple):
    """One candle. Amounts in units."""

    opened_ms: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    trades: int
    taker_volume: int
    taker_quote: int


class Point(NamedTuple):
    """One price inside a minute."""

    #: After the bar's opening.
    offset_ms: int
    price: int
    quantity: int


#: Length of each interval. Source: Binance spot API, klines.
INTERVAL_MS: dict[str, int] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "2h": 120 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "6h": 360 * MINUTE_MS,
    "8h": 480 * MINUTE_MS,
    "12h": 720 * MINUTE_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
}

#: Weeks begin on Monday; 1970 began on a Thursday.
_WEEK_SHIFT_MS = 4 * DAY_MS

#: A point carries a price; this many of them show a bar's whole shape.
FEWEST_POINTS = 4
MOST_POINTS = 6000


def opening(interval: str, moment_ms: int) -> int:
    """Return when the bar of this interval that holds the moment opened."""
    shift = _WEEK_SHIFT_MS if interval == "1w" else 0
    return moment_ms - (moment_ms - shift) % INTERVAL_MS[interval]


def merge(opened_ms: int, bars: Sequence[Bar]) -> Bar | None:
    """Return the candle that these make together; None if there are none."""
    if not bars:
        return None
    return Bar(
        opened_ms,
        bars[0].open,
        max(bar.high for bar in bars),
        min(bar.low for bar in bars),
        bars[-1].close,
        sum(bar.volume for bar in bars),
        sum(bar.quote_volume for bar in bars),
        sum(bar.trades for bar in bars),
        sum(bar.taker_volume for bar in bars),
        sum(bar.taker_quote for bar in bars),
    )


def join(first: Bar, then: Bar) -> Bar:
    """Return two neighbours as one candle."""
    return Bar(
        first.opened_ms,
        first.open,
        max(first.high, then.high),
        min(first.low, then.low),
        then.close,
        first.volume + then.volume,
        first.quote_volume + then.quote_volume,
        first.trades + then.trades,
        first.taker_volume + then.taker_volume,
        first.taker_quote + then.taker_quote,
    )


def points_per_minute(speed: float) -> int:
    """Return how many prices a minute shows: one a second of the wall clock, within reason."""
    return max(FEWEST_POINTS, min(MOST_POINTS, round(60 / speed)))


def walk(bar: Bar, *, count: int, tick: int, step: int, salt: str) -> list[Point]:
    """Return the minute's prices: open, then the nearer of low and high, the other one, and close.

    Between these the price goes straight with some noise, never beyond high and low. The same bar and
    salt give the same walk.
    """
    low_first = bar.open - bar.low <= bar.high - bar.open
    near, far = (bar.low, bar.high) if low_first else (bar.high, bar.low)
    last = count - 1
    anchors = {0: bar.open, last // 3: near, 2 * last // 3: far, last: bar.close}
    if len(anchors) < FEWEST_POINTS:
        raise ValueError("a walk has at least four points")
    noise = hashlib.blake2b(f"{salt}/{bar.opened_ms}".encode(), digest_size=64).digest()
    prices = _prices(bar, anchors, noise, tick)
    shares = _shares(bar.volume, noise, count, step)
    return [
        Point(MINUTE_MS * index // count, price, share)
        for index, (price, share) in enumerate(zip(prices, shares, strict=True))
    ]


def grow(live: Bar | None, whole: Bar, point: Point) -> Bar:
    """Return the unfinished candle after one more point of `whole`; after the last one it is `whole`."""
    if live is None:
        live = Bar(whole.opened_ms, whole.open, whole.open, whole.open, whole.open, 0, 0, 0, 0, 0)
    volume = live.volume + point.quantity
    total = whole.volume or 1
    return Bar(
        live.opened_ms,
        live.open,
        max(live.high, point.price),
        min(live.low, point.price),
        point.price,
        volume,
        whole.quote_volume * volume // total,
        whole.trades * volume // total,
        whole.taker_volume * volume // total,
        whole.taker_quote * volume // total,
    )


def _prices(bar: Bar, anchors: dict[int, int], noise: bytes, tick: int) -> list[int]:
    places = sorted(anchors)
    spread = (bar.high - bar.low) // 6
    prices = [bar.open]
    for left, right in pairwise(places):
        start, end = anchors[left], anchors[right]
        for index in range(left + 1, right):
            straight = start + (end - start) * (index - left) // (right - left)
            wobble = (noise[index % 64] - 128) * spread // 128
            rough = straight + wobble
            prices.append(min(bar.high, max(bar.low, rough - rough % tick)))
        prices.append(end)
    return prices


def _shares(volume: int, noise: bytes, count: int, step: int) -> list[int]:
    weights = [16 + noise[(7 * index + 3) % 64] for index in range(count)]
    total = sum(weights)
    shares = [floor_to(volume * weight // total, step) for weight in weights]
    shares[-1] += volume - sum(shares)
    return shares
