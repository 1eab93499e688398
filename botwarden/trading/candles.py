"""Closed candles and prices as the market reports them."""

from datetime import datetime
from decimal import Decimal

import msgspec


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One closed bar. Times are the market's own (aware, UTC), prices quote per base."""

    symbol: str
    #: The venue's name of the interval: 1m, 5m, 1h, ...
    interval: str
    opened_at: datetime
    #: Last millisecond of the bar.
    closed_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume_base: Decimal


class PriceTick(msgspec.Struct, frozen=True, kw_only=True):
    """A price at which the market traded just now."""

    symbol: str
    price_quote: Decimal
    traded_at: datetime


#: Length of each kline interval in seconds. 1M (a month) has no fixed length and is not offered.
#: Source: Binance spot API, market data, klines.
INTERVAL_SECONDS: dict[str, int] = {
    "1s": 1,
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "2h": 7200,
    "4h": 14400,
    "6h": 21600,
    "8h": 28800,
    "12h": 43200,
    "1d": 86400,
    "3d": 259200,
    "1w": 604800,
}
