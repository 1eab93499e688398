"""Market streams of one venue: our own supervised websockets, shared by all readers.

    reader ──┐                            ┌── SUBSCRIBE, at most 4 a second ──▶
    reader ──┼── connection (≤ 1,024 streams)                                  venue
    reader ──┘   ◀── prices, closed bars ─┘

A connection lives while somebody reads from it. Whatever ends it early (a close, an error, silence) is
told to its readers as `StreamLost`; `StreamRestored` follows when the venue has confirmed all that a
reader wants, and what happened in between has to be fetched. A reader hears `StreamRestored` for its
first connection as well, so that the same code fetches the beginning.
"""

import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

import aiohttp
import structlog

from botwarden.exchange import translate
from botwarden.exchange.bell import Bell
from botwarden.exchange.connection_pool import ConnectionPool
from botwarden.exchange.port import MarketEvent, StreamLost, StreamRestored
from botwarden.exchange.socket_session import Broken
from botwarden.exchange.stream_rules import StreamRules
from botwarden.exchange.stream_session import StreamSession
from botwarden.runtime import Clock
from botwarden.trading.candles import Candle, PriceTick

log = structlog.get_logger(__name__)

#: Source: Binance spot API, WebSocket streams, limits.
STREAMS_PER_CONNECTION = 1024


class Reader:
    """What one reader wants and has not taken yet. Prices are conflated, everything else is kept."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self._events: deque[MarketEvent] = deque()
        self._tick: PriceTick | None = None
        self._bell = Bell()
        #: None until the first word about the connection.
        self._is_live: bool | None = None

    def hear(self, said: Candle | PriceTick) -> None:
        """Take what the market said."""
        if isinstance(said, Candle):
            self._events.append(said)
        else:
            self._tick = said
        self._bell.ring()

    def lost(self, message: str) -> None:
        """Hear that the stream broke. A price that still waits is stale and is forgotten."""
        if self._is_live is not False:
            self._is_live, self._tick = False, None
            self._events.append(StreamLost(message=message))
            self._bell.ring()

    def restored(self) -> None:
        """Hear that all streams are confirmed."""
        if not self._is_live:
            self._is_live = True
            self._events.append(StreamRestored())
            self._bell.ring()

    async def next(self) -> MarketEvent:
        """Return the next event: what is kept first, then the newest price."""
        while True:
            if self._events:
                return self._events.popleft()
            tick, self._tick = self._tick, None
            if tick is not None:
                return tick
            await self._bell.wait()


class Connection:
    """One websocket after another, and those who read from it."""

    def __init__(self, streams: "MarketStreams") -> None:
        self._streams = streams
        self._readers: dict[str, list[Reader]] = {}
        self._last_bar: dict[str, Candle] = {}
        self._bell = Bell()
        #: Why there is no connection now; empty while there is one, or none is needed.
        self._trouble = ""

    def names(self) -> set[str]:
        """Return the streams that are wanted now."""
        return set(self._readers)

    def has_room_for(self, names: frozenset[str]) -> bool:
        """Whether these streams fit; one place is kept for the pulse."""
        return len(self._readers.keys() | names) < STREAMS_PER_CONNECTION

    def add(self, reader: Reader) -> None:
        """Let the reader have its streams."""
        for name in reader.names:
            self._readers.setdefault(name, []).append(reader)
        if self._trouble:
            reader.lost(self._trouble)
        self._bell.ring()

    def remove(self, reader: Reader) -> None:
        """Forget the reader; streams that nobody else reads are given up."""
        for name in reader.names:
            self._readers[name].remove(reader)
            if not self._readers[name]:
                del self._readers[name]
                self._last_bar.pop(name, None)
        self._bell.ring()

    def hear(self, stream: str, said: Candle | PriceTick) -> None:
        """Pass on what a stream said; a closed bar that comes twice counts once."""
        if isinstance(said, Candle):
            if self._last_bar.get(stream) == said:
                return
            self._last_bar[stream] = said
        for reader in self._readers.get(stream, ()):
            reader.hear(said)

    def confirmed(self, names: set[str]) -> None:
        """Tell the readers whose streams have all been confirmed."""
        if names:
            self._trouble = ""
        for reader in self._everybody():
            if reader.names <= names:
                reader.restored()

    def refused(self, names: set[str], why: str) -> None:
        """Tell the readers of these streams that the venue will not serve them."""
        for reader in self._everybody():
            if not reader.names.isdisjoint(names):
                reader.lost(why)

    async def changed(self) -> None:
        """Return when readers have come or gone since the last call."""
        await self._bell.wait()

    async def run(self, http: aiohttp.ClientSession) -> None:
        """Keep a websocket open while there are readers, for ever."""
        failures = 0
        try:
            while True:
                while not self._readers:
                    await self.changed()
                session = self._streams.session(self, http)
                try:
                    await session.run()
                except Broken as broken:
                    failures = 1 if session.was_live else failures + 1
                    self._lost(str(broken))
                    await self._streams.clock.sleep(max(broken.pause_s, self._streams.pause_s(failures)))
                else:
                    failures = 0
        finally:
            self._lost("the market streams were stopped")

    def _lost(self, why: str) -> None:
        if self._readers:
            log.warning("stream.lost", url=self._streams.url, why=why, streams=len(self._readers))
        self._trouble = why
        for reader in self._everybody():
            reader.lost(why)

    def _everybody(self) -> set[Reader]:
        return {reader for readers in self._readers.values() for reader in readers}


class MarketStreams:
    """The market streams of one venue."""

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        rng: random.Random,
        connector: Callable[[], aiohttp.BaseConnector],
        rules: StreamRules | None = None,
        pulse: str | None = None,
    ) -> None:
        self.url = url + "/stream"
        self.clock = clock
        self._rng = rng
        self._rules = rules or StreamRules()
        self._pulse = pulse
        self._pool: ConnectionPool[Connection] = ConnectionPool(connector)

    async def read(self, symbol: str, intervals: Sequence[str]) -> AsyncIterator[MarketEvent]:
        """Yield what happens on one symbol for ever. Nothing comes unless `run` is running."""
        klines = (translate.kline_stream(symbol, interval) for interval in intervals)
        reader = Reader(frozenset({translate.trade_stream(symbol), *klines}))
        connection = self._connection_for(reader.names)
        connection.add(reader)
        try:
            while True:
                yield await reader.next()
        finally:
            connection.remove(reader)

    async def run(self) -> None:
        """Serve all readers for ever; run by the owner as a duty."""
        await self._pool.run()

    def session(self, connection: Connection, http: aiohttp.ClientSession) -> StreamSession:
        """Return the next session of a connection."""
        return StreamSession(
            connection, http, self.url, clock=self.clock, silence_s=self._rules.silence_s, pulse=self._pulse
        )

    def pause_s(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row."""
        return self._rules.backoff_s(failures, self._rng)

    def _connection_for(self, names: frozenset[str]) -> Connection:
        roomy = [connection for connection in self._pool if connection.has_room_for(names)]
        for connection in roomy:
            if not names.isdisjoint(connection.names()):
                return connection  # It carries some of them already.
        if roomy:
            return roomy[0]
        return self._pool.add(Connection(self))
