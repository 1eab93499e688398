"""GET /symbols and /symbols/{symbol}/candles: what can be traded, and how its price went.

A venue is asked at most once per few seconds for the same thing, by all replicas together.
"""

from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from botwarden.errors import FieldError, Invalid
from botwarden.exchange.port import Exchange
from botwarden.exchange.symbols import SymbolCatalogue
from botwarden.persistence.cache import JsonCache
from botwarden.trading.bot import Venue
from botwarden.trading.candles import INTERVAL_SECONDS, Candle
from botwarden.trading.instruments import Instrument

_CANDLES_TTL_S = 2
#: The venue's own bound of one answer. Source: Binance spot API, klines.
_MOST_CANDLES = 1000


class SymbolList(msgspec.Struct, frozen=True, kw_only=True):
    """What can be traded on a venue, by name."""

    items: list[Instrument]


class CandleList(msgspec.Struct, frozen=True, kw_only=True):
    """Closed bars, oldest first."""

    items: list[Candle]


class Markets:
    """The venues' public side, behind the shared cache."""

    def __init__(self, exchange: Exchange, symbols: SymbolCatalogue, cache: JsonCache) -> None:
        self._exchange = exchange
        self._symbols = symbols
        self._cache = cache

    async def instruments(self, venue: Venue) -> list[Instrument]:
        """Return what can be traded, by name. Raises `Unavailable`."""
        instruments = await self._symbols.instruments(venue)
        return [instruments[symbol] for symbol in sorted(instruments)]

    async def candles(self, venue: Venue, symbol: str, interval: str, limit: int) -> list[Candle]:
        """Return the newest closed candles, oldest first. Raises `Missing`, `Unavailable`."""
        await self._symbols.find(venue, symbol)

        async def load() -> list[Candle]:
            return list(await self._exchange.market(venue).candles(symbol, interval, limit=limit))

        key = f"candles:{venue}:{symbol}:{interval}:{limit}"
        return await self._cache.get_or_load(key, list[Candle], _CANDLES_TTL_S, load)


@get("/api/v1/symbols", tags=["market"], summary="List what can be traded")
async def list_symbols(markets: NamedDependency[Markets], venue: FromQuery[Venue]) -> SymbolList:
    """Return every symbol of the venue with its filters."""
    return SymbolList(items=await markets.instruments(venue))


@get("/api/v1/symbols/{symbol:str}/candles", tags=["market"], summary="Read closed candles")
async def list_candles(
    markets: NamedDependency[Markets],
    symbol: FromPath[str],
    venue: FromQuery[Venue],
    interval: FromQuery[str] = "1m",
    limit: Annotated[int, QueryParameter(ge=1, le=_MOST_CANDLES)] = 500,
) -> CandleList:
    """Return the newest closed candles of a symbol, oldest first."""
    if interval not in INTERVAL_SECONDS:
        raise Invalid(FieldError("interval", f"must be one of {', '.join(INTERVAL_SECONDS)}"))
    return CandleList(items=await markets.candles(venue, symbol, interval, limit))


routes = [list_symbols, list_candles]
