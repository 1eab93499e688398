"""What can be traded where: the venues' instruments, kept so that nobody waits for a catalogue.

Three copies, newest first: this process's memory, the shared cache, the venue. An old copy is served
when the venue is away; a symbol that a copy lacks is looked for once more at the source, unless the copy
is brand-new.
"""

from typing import Protocol, TypeVar

import anyio
import structlog

from botwarden.errors import Missing, Unavailable
from botwarden.exchange.port import Exchange
from botwarden.runtime import Clock
from botwarden.trading.bot import Venue
from botwarden.trading.instruments import Instrument

log = structlog.get_logger(__name__)

T = TypeVar("T")

#: How long the shared copy is good: filters change rarely, and with notice.
CACHED_FOR_S = 900

#: How long this process believes its own copy without looking at the shared one.
REMEMBERED_FOR_S = 60.0

#: An unknown symbol makes the venue be asked again at most this often.
ASKED_AGAIN_AFTER_S = 60.0


class Cache(Protocol):
    """A shared store of JSON; being away is a miss."""

    async def get(self, key: str, type: type[T]) -> T | None:  # noqa: A002 - the cache's own word
        ...

    async def set(self, key: str, value: object, ttl_s: int) -> None: ...


class _Copy:
    """What one venue lists, and since when we know it."""

    def __init__(self, instruments: dict[str, Instrument], taken_at_s: float) -> None:
        self.instruments = instruments
        self.taken_at_s = taken_at_s


class SymbolCatalogue:
    """Instruments by venue and symbol."""

    def __init__(self, exchange: Exchange, cache: Cache, clock: Clock) -> None:
        self._exchange = exchange
        self._cache = cache
        self._clock = clock
        self._copies: dict[Venue, _Copy] = {}
        self._asked_at_s: dict[Venue, float] = {}
        self._loading = {venue: anyio.Lock() for venue in Venue}

    async def instruments(self, venue: Venue) -> dict[str, Instrument]:
        """Return everything the venue lists, by symbol.

        Raises:
            Unavailable: the venue is away and nobody has a copy.
            Missing: this installation does not know the venue.
        """
        async with self._loading[venue]:
            return await self._fresh(venue)

    async def find(self, venue: Venue, symbol: str) -> Instrument:
        """Return one symbol's rules.

        Raises:
            Missing: the venue does not list the symbol.
            Unavailable: the venue is away and nobody has a copy.
        """
        known = (await self.instruments(venue)).get(symbol)
        if known is None:
            known = (await self._asked_again(venue)).get(symbol)
        if known is None:
            raise Missing(f"{venue} does not list {symbol[:40]}")
        return known

    async def _fresh(self, venue: Venue) -> dict[str, Instrument]:
        copy = self._copies.get(venue)
        if copy is not None and self._clock.monotonic() - copy.taken_at_s < REMEMBERED_FOR_S:
            return copy.instruments
        cached = await self._cached(venue)
        if cached is not None:
            return self._remember(venue, cached)
        try:
            return await self._ask(venue)
        except Unavailable as away:
            if copy is None:
                raise
            log.warning("symbols.stale", venue=venue, why=str(away))
            return copy.instruments

    async def _asked_again(self, venue: Venue) -> dict[str, Instrument]:
        async with self._loading[venue]:
            asked_at_s = self._asked_at_s.get(venue, float("-inf"))
            if self._clock.monotonic() - asked_at_s < ASKED_AGAIN_AFTER_S:
                return self._copies[venue].instruments
            try:
                return await self._ask(venue)
            except Unavailable:
                return self._copies[venue].instruments

    async def _ask(self, venue: Venue) -> dict[str, Instrument]:
        self._asked_at_s[venue] = self._clock.monotonic()
        instruments = await self._exchange.market(venue).instruments()
        try:
            await self._cache.set(_key(venue), instruments, CACHED_FOR_S)
        except Unavailable as away:
            log.warning("symbols.uncached", venue=venue, why=str(away))
        return self._remember(venue, instruments)

    async def _cached(self, venue: Venue) -> dict[str, Instrument] | None:
        try:
            return await self._cache.get(_key(venue), dict[str, Instrument])
        except Unavailable:
            return None

    def _remember(self, venue: Venue, instruments: dict[str, Instrument]) -> dict[str, Instrument]:
        self._copies[venue] = _Copy(instruments, self._clock.monotonic())
        return instruments


def _key(venue: Venue) -> str:
    return f"symbols:{venue}"
