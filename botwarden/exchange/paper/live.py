"""A market that follows the public one: its prices as they come, its candles as it says them.

    public market ── trades, closed candles (stream) ──▶ reader of each symbol ──▶ LiveMarket ──▶ engine
                  ◀── candles that were missed (REST) ──┘

The invariant: no price is made up, and none is old. While the public market is not heard nobody trades here:
symbols are in BREAK until their next price. Orders that rest are filled by the first price that reaches them;
what the public market did while nobody listened fills nothing.
"""

import random
from collections.abc import Mapping, Sequence

import anyio
import structlog

from botwarden.errors import Unavailable
from botwarden.exchange.bell import Bell
from botwarden.exchange.paper.amounts import UNIT, floor_to, units
from botwarden.exchange.paper.bars import INTERVAL_MS, Bar, merge, opening
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.instruments import PaperInstrument
from botwarden.exchange.paper.live_upstream import PAGE, Upstream
from botwarden.exchange.paper.market import Closed, Market, SymbolMarket
from botwarden.exchange.paper.source import SourceError
from botwarden.exchange.paper.times import DAY_MS, MINUTE_MS, ServerClock
from botwarden.exchange.port import StreamLost, StreamRestored
from botwarden.exchange.stream_rules import StreamRules
from botwarden.exchange.streams import MarketStreams
from botwarden.exchange.wire import Connections
from botwarden.runtime import SystemClock
from botwarden.trading.candles import Candle, PriceTick

log = structlog.get_logger(__name__)

#: What is kept of each symbol: the last 24 hours are shown, and longer candles are closed out of minutes.
MINUTES_KEPT = 2 * DAY_MS // MINUTE_MS

#: What is followed when nobody says.
DEFAULT_SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT")


#: How soon candles are asked for again after a failure, and how often it is seen what trades.
AGAIN_AFTER_S = 2.0
STATUS_EVERY_S = 30.0


class LiveSource:
    """A `Source` of the minutes that the public market has closed, as far back as they are kept."""

    def __init__(self, upstream: Upstream, now_ms: int) -> None:
        self.identity = f"live {upstream.url}"
        self.instruments: Mapping[str, PaperInstrument] = {}
        self.first_ms = 0
        self.start_ms = now_ms
        self._minutes: dict[str, dict[int, Bar]] = {}

    def put(self, symbol: str, bars: Sequence[Bar]) -> None:
        """Keep these minutes, in place of what was known of them."""
        kept = self._minutes.setdefault(symbol, {})
        kept.update((bar.opened_ms, bar) for bar in bars)
        for opened_ms in sorted(kept)[:-MINUTES_KEPT]:
            del kept[opened_ms]

    def last_ms(self, symbol: str) -> int | None:
        """Return the opening of the newest minute that has closed; None if none is known."""
        return max(self._minutes.get(symbol, ()), default=None)

    def reaches_back_to(self, symbol: str, moment_ms: int) -> bool:
        """Whether all minutes since then are known."""
        return min(self._minutes.get(symbol, ()), default=moment_ms + 1) <= moment_ms

    def minutes(self, symbol: str, from_ms: int, until_ms: int) -> list[Bar]:
        """Return the minutes that open in [from, until), oldest first."""
        kept = self._minutes.get(symbol, {})
        return [kept[at] for at in range(_next_minute(from_ms), until_ms, MINUTE_MS) if at in kept]

    def next_minute(self, from_ms: int) -> int | None:
        """Return the next opening: the public market has no end."""
        return _next_minute(from_ms)


class LiveMarket(Market):
    """All symbols as the public market has them now."""

    def __init__(self, source: LiveSource, upstream: Upstream, *, position_ms: int) -> None:
        super().__init__(source, position_ms=position_ms, speed=1.0)
        self._source = source
        self._upstream = upstream
        for name, symbol in self.symbols.items():
            symbol.status = "BREAK"  # Until prices come.
            bars = source.minutes(name, position_ms - DAY_MS, position_ms)
            daily = sum(bar.quote_volume for bar in bars) // UNIT
            symbol.instrument = symbol.instrument._replace(daily_quote=daily)

    def next_due_ms(self) -> int | None:
        """Nothing is due: prices come when they come."""
        return None

    async def read_history(
        self, name: str, interval: str, *, from_ms: int | None, until_ms: int | None, limit: int
    ) -> list[Bar]:
        """Return what the public market answers. Refused while it does not."""
        try:
            return await self._upstream.bars(name, interval, startTime=from_ms, endTime=until_ms, limit=limit)
        except Unavailable:
            message = "Internal error; unable to process your request. Please try again."
            raise ApiError(-1001, message, status=500) from None

    def current(self, name: str, interval: str) -> Bar | None:
        """Return the unfinished candle; None where it began before what is known."""
        opened_ms = opening(interval, self._minute_ms)
        if interval != "1m" and not self._source.reaches_back_to(name, opened_ms):
            return None
        return super().current(name, interval)

    def hear_price(self, name: str, price: int, now_ms: int) -> None:
        """Let a price of the public market be the price here."""
        symbol = self.symbols[name]
        self.position_ms = max(self.position_ms, now_ms)
        quantity = self._usual_quantity(symbol)
        quote = price * quantity // UNIT
        live = symbol.live or Bar(self._minute_ms, price, price, price, price, 0, 0, 0, 0, 0)
        symbol.live = live._replace(
            high=max(live.high, price),
            low=min(live.low, price),
            close=price,
            volume=live.volume + quantity,
            quote_volume=live.quote_volume + quote,
            trades=live.trades + 1,
        )
        was = symbol.price if symbol.price is not None else price
        symbol.price = price
        self.trade(symbol, price, quantity, now_ms, sold=price < was)

    def hear_minutes(self, name: str, bars: Sequence[Bar]) -> None:
        """Take the minutes that the public market has closed, and close here what they complete."""
        symbol = self.symbols[name]
        self._source.put(name, bars)
        for bar in bars:
            self._minute_ms = max(self._minute_ms, bar.opened_ms + MINUTE_MS)
            self._close_with(symbol, bar)
        if symbol.live is not None and bars and symbol.live.opened_ms <= bars[-1].opened_ms:
            symbol.live = None

    def _close_with(self, symbol: SymbolMarket, last: Bar) -> None:
        name, ends_ms = symbol.instrument.symbol, last.opened_ms + MINUTE_MS
        for interval in symbol.partial:
            opened_ms = opening(interval, last.opened_ms)
            made = None
            if interval == "1m" or self._source.reaches_back_to(name, opened_ms):
                made = merge(opened_ms, self._source.minutes(name, opened_ms, ends_ms))
            is_whole = opened_ms + INTERVAL_MS[interval] <= ends_ms
            symbol.partial[interval] = None if is_whole else made
            if is_whole and made is not None:
                self.on_closed(Closed(name, interval, made))

    def _usual_quantity(self, symbol: SymbolMarket) -> int:
        """Return what is traded in a second of a usual minute: streams of prices do not tell sizes."""
        bars = self._source.minutes(
            symbol.instrument.symbol, self._minute_ms - 10 * MINUTE_MS, self._minute_ms
        )
        volume = sum(bar.volume for bar in bars) // max(1, 60 * len(bars))
        return max(symbol.instrument.step, floor_to(volume, symbol.instrument.step))


class Follower:
    """Keeps a live market true to the public one.

    Prices and candles come apart: candles that cannot be fetched hold up no price.
    """

    def __init__(
        self, market: LiveMarket, source: LiveSource, upstream: Upstream, stream_url: str, clock: ServerClock
    ) -> None:
        self._market = market
        self._source = source
        self._upstream = upstream
        self._stream_url = stream_url
        self._clock = clock
        #: Symbols whose price may be an old one: the next price opens them.
        self._away = set(market.symbols)
        #: Symbols that do not trade there.
        self._halted: set[str] = set()
        #: Minutes to be fetched: the newest that is known to have closed, and a bell for each symbol.
        self._closed_ms: dict[str, int] = {}
        self._bells = {name: Bell() for name in market.symbols}

    async def run(self) -> None:
        """Follow, for ever."""
        connections = Connections()
        streams = MarketStreams(
            self._stream_url,
            clock=SystemClock(),
            rng=random.Random(),  # noqa: S311 - jitter, not a secret
            connector=connections.connector,
            rules=StreamRules(),
        )
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(streams.run)
                group.start_soon(self._watch_statuses)
                for name in self._market.symbols:
                    group.start_soon(self._hear, name, streams)
                    group.start_soon(self._fetch, name)
        finally:
            with anyio.CancelScope(shield=True):
                await connections.close()
                await self._upstream.close()

    async def _hear(self, name: str, streams: MarketStreams) -> None:
        async for event in streams.read(name, ["1m"]):
            match event:
                case PriceTick(price_quote=price):
                    self._on_price(name, units(str(price)))
                case Candle(opened_at=opened_at):
                    self._closed_ms[name] = round(opened_at.timestamp() * 1000)
                    self._bells[name].ring()
                case StreamLost(message=why):
                    self._close(name, "BREAK", why)
                case StreamRestored():
                    self._closed_ms.pop(name, None)
                    self._bells[name].ring()

    def _on_price(self, name: str, price: int) -> None:
        if name in self._away and name not in self._halted:
            self._away.discard(name)
            self._market.symbols[name].status = "TRADING"
        self._market.hear_price(name, price, self._clock.now_ms())

    def _close(self, name: str, status: str, why: str) -> None:
        log.warning("live_market.closed", symbol=name, status=status, why=why)
        self._away.add(name)
        self._market.symbols[name].status = status

    async def _fetch(self, name: str) -> None:
        """Fetch the minutes that have closed, whenever there is a reason to, until there is an answer."""
        while True:
            await self._bells[name].wait()
            while True:
                known_ms, until_ms = self._source.last_ms(name), self._closed_ms.get(name)
                try:
                    bars = await closed_minutes(self._upstream, name, known_ms, until_ms)
                except Unavailable as away:
                    log.warning("live_market.no_candles", symbol=name, why=str(away))
                    await anyio.sleep(AGAIN_AFTER_S)
                else:
                    self._market.hear_minutes(name, bars)
                    break

    async def _watch_statuses(self) -> None:
        """See which symbols do not trade there now."""
        while True:
            await anyio.sleep(STATUS_EVERY_S)
            try:
                statuses = await self._upstream.statuses(list(self._market.symbols))
            except Unavailable:
                continue  # Whether prices come says enough.
            for name, status in statuses.items():
                if status == "TRADING":
                    self._halted.discard(name)
                elif name not in self._halted:
                    self._halted.add(name)
                    self._close(name, status, "the public market does not trade it")


async def closed_minutes(
    upstream: Upstream, name: str, last_ms: int | None, until_ms: int | None = None
) -> list[Bar]:
    """Return the minutes behind the last known one that have closed; of a day when none is known.

    `until_ms`: the opening of one that is known to have closed; without it the newest row is unfinished.

    Raises:
        Unavailable: no answer.
    """
    if last_ms is None:
        newest = await upstream.bars(name, "1m", limit=PAGE)
        older = await upstream.bars(name, "1m", limit=PAGE, endTime=newest[0].opened_ms - 1) if newest else []
        return (older + newest)[:-1]
    bars: list[Bar] = []
    from_ms = last_ms + MINUTE_MS
    while page := await upstream.bars(name, "1m", startTime=from_ms, limit=PAGE):
        bars += page
        from_ms = page[-1].opened_ms + MINUTE_MS
        if len(page) < PAGE:
            break
    if until_ms is None:
        return bars[:-1]
    return [bar for bar in bars if bar.opened_ms <= until_ms]


async def open_live(
    url: str, stream_url: str, symbols: Sequence[str], clock: ServerClock
) -> tuple[LiveMarket, Follower]:
    """Return a market that stands where the public one does, and what keeps it there.

    Raises:
        SourceError: the public market does not answer, or does not know a symbol.
    """
    upstream = Upstream(url)
    source = LiveSource(upstream, clock.now_ms())
    try:
        source.instruments = await upstream.instruments([name.upper() for name in symbols or DEFAULT_SYMBOLS])
        for name in source.instruments:
            source.put(name, await closed_minutes(upstream, name, None))
    except Unavailable as away:
        await upstream.close()
        raise SourceError(str(away)) from None
    except SourceError:
        await upstream.close()
        raise
    last_ms = max(source.last_ms(name) or 0 for name in source.instruments)
    market = LiveMarket(source, upstream, position_ms=last_ms + MINUTE_MS)
    return market, Follower(market, source, upstream, stream_url, clock)


def _next_minute(moment_ms: int) -> int:
    """Return the first opening at or after this moment."""
    return moment_ms + -moment_ms % MINUTE_MS
