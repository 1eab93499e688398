"""One venue's public side: rules, candles and prices by REST, live ones by stream, and its clock.

Shared by all bots of the process.
"""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from decimal import Decimal

import anyio
import anyio.to_thread

from botwarden.exchange import translate
from botwarden.exchange.clock import MeasuredClock
from botwarden.exchange.commissions import Commissions
from botwarden.exchange.port import MarketEvent
from botwarden.exchange.stream_rules import StreamRules
from botwarden.exchange.streams import MarketStreams
from botwarden.exchange.user_streams import UserStreams
from botwarden.exchange.venues import VenueUrls
from botwarden.exchange.weights import DEFAULT_ORDERS, Priority, WeightBudget
from botwarden.exchange.wire import Connections, Wire, understood
from botwarden.runtime import Clock
from botwarden.trading.bot import Venue
from botwarden.trading.candles import Candle, PriceTick
from botwarden.trading.instruments import Instrument

#: Most rows of one kline answer. Source: Binance spot API, klines, limit.
MOST_CANDLES = 1000


class BinanceMarket:
    """A `Market` over python-binance and our own streams."""

    def __init__(
        self,
        venue: Venue,
        urls: VenueUrls,
        *,
        clock: Clock,
        rng: random.Random,
        connections: Connections,
        request_timeout_s: float,
        receive_window_ms: int,
        stream_rules: StreamRules | None,
        on_pause: Callable[[Venue, datetime], None] | None,
    ) -> None:
        self.venue = venue
        self.urls = urls
        self.clock = MeasuredClock(clock, self._server_time)
        self.budget = WeightBudget(
            clock,
            self.clock.now,
            on_pause=None if on_pause is None else lambda until: on_pause(venue, until),
        )
        #: Window in seconds → orders per account; learned from the venue.
        self.order_limits = dict(DEFAULT_ORDERS)
        self.commissions = Commissions(clock, last_price=self._last_price, instrument=self._known_instrument)
        self._wire = Wire(
            urls,
            connections,
            self.budget,
            self.clock,
            receive_window_ms=receive_window_ms,
            request_timeout_s=request_timeout_s,
        )
        self._streams = MarketStreams(
            urls.stream,
            clock=clock,
            rng=rng,
            connector=connections.connector,
            rules=stream_rules,
            pulse=urls.pulse,
        )
        #: Not public, but as much the venue's as its clock: one connection serves all keys.
        self.user_streams = UserStreams(
            urls.ws_api,
            clock=clock,
            rng=rng,
            connector=connections.connector,
            budget=self.budget,
            ask_time=self.clock.ask,
            rules=stream_rules,
        )
        self._instruments: dict[str, Instrument] = {}

    async def instruments(self) -> dict[str, Instrument]:
        """Return what can be traded, by symbol, and learn the venue's limits."""
        body = await self._wire.read("get_catalogue", weight=20, priority=Priority.CANDLES)
        # Thousands of symbols take a tenth of a second: too long for the loop that serves prices.
        self._instruments, limits = await anyio.to_thread.run_sync(understood, translate.instruments, body)
        if limits.weight_per_minute is not None:
            self.budget.set_limit(limits.weight_per_minute)
        self.order_limits.update(limits.orders)
        return self._instruments

    async def candles(self, symbol: str, interval: str, *, limit: int = 500) -> Sequence[Candle]:
        """Return the newest closed candles, oldest first."""
        body = await self._wire.read(
            "get_klines",
            weight=2,
            priority=Priority.CANDLES,
            symbol=symbol,
            interval=interval,
            limit=min(limit + 1, MOST_CANDLES),
        )
        rows = understood(lambda body: translate.candles(symbol, interval, body), body)
        if rows and not self._is_closed(rows[-1]):
            rows.pop()
        return rows[-limit:]

    async def price(self, symbol: str) -> PriceTick:
        """Return the last traded price."""
        return PriceTick(
            symbol=symbol, price_quote=await self._last_price(symbol), traded_at=self.clock.now()
        )

    def stream(self, symbol: str, intervals: Sequence[str]) -> AsyncIterator[MarketEvent]:
        """Yield prices and closed candles of one symbol for ever, while `run` is running."""
        return self._streams.read(symbol, intervals)

    async def run(self) -> None:
        """Keep the clock true and the streams alive, for ever; run by the owner as a duty."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.clock.run)
            group.start_soon(self._streams.run)
            group.start_soon(self.user_streams.run)

    async def close(self) -> None:
        """Close the client; the sockets that it shares stay."""
        await self._wire.close()

    def _is_closed(self, last: Candle) -> bool:
        # The last row is the bar that is being made, unless the turn of the bar has only just passed. A
        # market with a time of its own cannot be asked that: there the last row is always left out.
        return self.urls.follows_wall_clock and last.closed_at < self.clock.now()

    async def _last_price(self, symbol: str) -> Decimal:
        body = await self._wire.read("get_symbol_ticker", weight=2, priority=Priority.ENTRY, symbol=symbol)
        return understood(translate.price, body)

    async def _server_time(self) -> datetime:
        body = await self._wire.read("get_server_time", weight=1, priority=Priority.ORDER_QUERY)
        return understood(translate.server_time, body)

    def _known_instrument(self, symbol: str) -> Instrument | None:
        return self._instruments.get(symbol)
