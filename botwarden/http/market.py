"""GET /symbols and /symbols/{symbol}/candles: what can be traded, and how its price went.

A venue is asked at most once per few seconds for the same thing, by all replicas together.
"""

from typing import Annotated

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter

from botwarden.errors import FieldError, Invalid, Missing
from botwarden.http.dependencies import HttpDeps
from botwarden.trading.bot import Venue
from botwarden.trading.candles import INTERVAL_SECONDS, Candle
from botwarden.trading.instruments import Instrument

_SYMBOLS_TTL_S = 30
_CANDLES_TTL_S = 2
#: The venue's own bound of one answer. Source: Binance spot API, klines.
_MOST_CANDLES = 1000


class SymbolList(msgspec.Struct, frozen=True, kw_only=True):
    """What can be traded on a venue, by name."""

    items: list[Instrument]


class CandleList(msgspec.Struct, frozen=True, kw_only=True):
    """Closed bars, oldest first."""

    items: list[Candle]


@get("/api/v1/symbols", tags=["market"], summary="List what can be traded")
async def list_symbols(deps: NamedDependency[HttpDeps], venue: FromQuery[Venue]) -> SymbolList:
    """Return every symbol of the venue with its filters."""
    instruments = await _instruments(deps, venue)
    return SymbolList(items=[instruments[symbol] for symbol in sorted(instruments)])


@get("/api/v1/symbols/{symbol:str}/candles", tags=["market"], summary="Read closed candles")
async def list_candles(
    deps: NamedDependency[HttpDeps],
    symbol: FromPath[str],
    venue: FromQuery[Venue],
    interval: FromQuery[str] = "1m",
    limit: Annotated[int, QueryParameter(ge=1, le=_MOST_CANDLES)] = 500,
) -> CandleList:
    """Return the newest closed candles of a symbol, oldest first."""
    if interval not in INTERVAL_SECONDS:
        raise Invalid(FieldError("interval", f"must be one of {', '.join(INTERVAL_SECONDS)}"))
    if symbol not in await _instruments(deps, venue):
        raise Missing("The venue has no such symbol.")

    async def load() -> list[Candle]:
        return list(await deps.exchange.market(venue).candles(symbol, interval, limit=limit))

    key = f"candles:{venue}:{symbol}:{interval}:{limit}"
    return CandleList(items=await deps.cache.get_or_load(key, list[Candle], _CANDLES_TTL_S, load))


async def _instruments(deps: NamedDependency[HttpDeps], venue: Venue) -> dict[str, Instrument]:
    return await deps.cache.get_or_load(
        f"instruments:{venue}",
        dict[str, Instrument],
        _SYMBOLS_TTL_S,
        deps.exchange.market(venue).instruments,
    )


routes = [list_symbols, list_candles]
