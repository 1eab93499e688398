"""The running market: where it stands, what it has shown, and what its candles are.

Everything is a function of the source and of one number, the position in the market's own time: after a
restart at the same position the market shows the same prices and goes on from there. REST and streams
read the same candles, so what closes on a stream is what REST shows.
"""

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import anyio.to_thread

from botwarden.exchange.paper.bars import (
    INTERVAL_MS,
    Bar,
    Point,
    grow,
    join,
    merge,
    opening,
    points_per_minute,
    walk,
)
from botwarden.exchange.paper.book import USUAL_LIQUIDITY, Book
from botwarden.exchange.paper.expiry import Reach
from botwarden.exchange.paper.instruments import PaperInstrument
from botwarden.exchange.paper.source import Source
from botwarden.exchange.paper.times import DAY_MS, MINUTE_MS

#: More minutes than this are put together in a worker thread.
QUICK_MINUTES = 5_000

#: Candles of longer intervals kept ready, all symbols together.
_BARS_KEPT = 50_000


class Trade(NamedTuple):
    """One trade of the public market."""

    symbol: str
    trade_id: int
    price: int
    quantity: int
    #: By the wall clock.
    time_ms: int
    buyer_is_maker: bool


class Closed(NamedTuple):
    """A candle that is finished."""

    symbol: str
    interval: str
    bar: Bar


class Present(NamedTuple):
    """The moment as of which candles are read."""

    minute_ms: int
    current: Bar | None


class SymbolMarket:
    """One symbol's present."""

    def __init__(self, instrument: PaperInstrument) -> None:
        self.instrument = instrument
        self.status = instrument.status
        #: None until the first price.
        self.price: int | None = None
        self.next_trade_id = 1
        #: The last trade of the public market; each brings a new book.
        self.shown_id = 0
        #: How much there is on the book, of the usual hundred.
        self.liquidity = USUAL_LIQUIDITY
        #: How far from the price orders may take.
        self.reach = Reach()
        #: What accounts have taken from the book, by side, since that trade.
        self.bought = self.sold = 0
        self.recent: deque[Trade] = deque(maxlen=1000)
        #: The minute that is being shown; None in a gap.
        self.whole: Bar | None = None
        self.live: Bar | None = None
        self.points: list[Point] = []
        #: The closed minutes of the candle being made, by interval that anybody has asked for.
        self.partial: dict[str, Bar | None] = {}

    @property
    def is_open(self) -> bool:
        """Whether orders can be executed."""
        return self.status == "TRADING" and self.price is not None

    def book(self) -> Book | None:
        """Return what can be bought and sold now; None until the first price."""
        if self.price is None:
            return None
        return Book(
            self.instrument,
            self.price,
            self.shown_id,
            self.liquidity,
            self.bought,
            self.sold,
            self.next_trade_id - 1,
        )

    def take_from_book(self, quantity: int, *, is_buy: bool) -> None:
        """Let so much be gone until the next price."""
        if is_buy:
            self.bought += quantity
        else:
            self.sold += quantity

    def take_trade_id(self) -> int:
        """Return the id of the next trade, and use it up."""
        self.next_trade_id += 1
        return self.next_trade_id - 1


class Market:
    """All symbols at one position of the market's time."""

    def __init__(self, source: Source, *, position_ms: int, speed: float) -> None:
        self.source = source
        self.count = points_per_minute(speed)
        self.symbols = {name: SymbolMarket(rules) for name, rules in source.instruments.items()}
        self.position_ms = position_ms
        self.has_ended = False
        #: Called with each new trade and each closed candle, in the order in which they happen.
        self.on_trade: Callable[[Trade], None] = lambda _trade: None
        self.on_closed: Callable[[Closed], None] = lambda _closed: None
        self._offsets = [MINUTE_MS * index // self.count for index in range(self.count)]
        self._minute_ms = position_ms - position_ms % MINUTE_MS
        self._step = 0
        self._kept: dict[tuple[str, str, int], Bar] = {}
        self._keeping = threading.Lock()
        #: The last 24 hours without the minute that is being shown, as of that minute.
        self._days: dict[str, tuple[int, Bar | None]] = {}
        self._restore()

    @property
    def minute_ms(self) -> int:
        """The opening of the minute that is being shown; all earlier ones are closed."""
        return self._minute_ms

    def next_due_ms(self) -> int | None:
        """Return the market time of the next thing to happen; None at the end."""
        if self.has_ended:
            return None
        if self._step < self.count:
            return self._minute_ms + self._offsets[self._step]
        return self._minute_ms + MINUTE_MS

    def step(self, now_ms: int) -> int | None:
        """Let the next thing happen: a price of each symbol, or the turn of the minute.

        Returns the market time at which it goes on if there is a gap, None otherwise. `now_ms`: the wall.
        """
        jumped = None
        if self._step == self.count:
            jumped = self._turn()
            if self.has_ended:
                return None
        self.position_ms = self._minute_ms + self._offsets[self._step]
        for symbol in self.symbols.values():
            if symbol.whole is not None:
                self._show(symbol, symbol.points[self._step], now_ms)
        self._step += 1
        return jumped

    def trade(self, symbol: SymbolMarket, price: int, quantity: int, now_ms: int, *, sold: bool) -> Trade:
        """Record one trade of the public market and tell it."""
        made = Trade(symbol.instrument.symbol, symbol.take_trade_id(), price, quantity, now_ms, sold)
        symbol.recent.append(made)
        symbol.shown_id, symbol.bought, symbol.sold = made.trade_id, 0, 0
        self.on_trade(made)
        return made

    # Candles

    def follow(self, name: str, interval: str) -> None:
        """Keep the running candle of this interval from now on, and tell when it closes."""
        symbol = self.symbols[name]
        if interval not in symbol.partial:
            opened_ms = opening(interval, self._minute_ms)
            symbol.partial[interval] = merge(opened_ms, self.source.minutes(name, opened_ms, self._minute_ms))

    def current(self, name: str, interval: str) -> Bar | None:
        """Return the unfinished candle; None when nothing was traded in it yet."""
        symbol = self.symbols[name]
        self.follow(name, interval)
        closed, live = symbol.partial[interval], symbol.live
        opened_ms = opening(interval, self._minute_ms)
        if closed is None or closed.opened_ms != opened_ms:
            return None if live is None else live._replace(opened_ms=opened_ms)
        return closed if live is None else join(closed, live)

    def present(self, name: str, interval: str) -> Present:
        """Return where the market stands, for `history` in a worker thread."""
        return Present(self._minute_ms, self.current(name, interval))

    def history(
        self,
        name: str,
        interval: str,
        *,
        from_ms: int | None,
        until_ms: int | None,
        limit: int,
        present: Present | None = None,
    ) -> list[Bar]:
        """Return candles that open in [from, until], oldest first; the last may be unfinished.

        Without `from` the newest ones, otherwise the oldest. May take long when much has to be made.
        """
        minute_ms, current = present or self.present(name, interval)
        newest = opening(interval, minute_ms)
        oldest = opening(interval, max(self.source.first_ms, from_ms or 0))
        last = newest if until_ms is None else min(newest, opening(interval, max(0, until_ms)))
        if from_ms is not None and oldest < from_ms:
            oldest += INTERVAL_MS[interval]
        bars = []
        length = INTERVAL_MS[interval]
        openings = range(oldest, last + 1, length)
        for opened_ms in openings if from_ms is not None else reversed(openings):
            bar = current if opened_ms == newest else self._closed(name, interval, opened_ms, minute_ms)
            if bar is not None:
                bars.append(bar)
                if len(bars) == limit:
                    break
        return bars if from_ms is not None else bars[::-1]

    async def read_history(
        self, name: str, interval: str, *, from_ms: int | None, until_ms: int | None, limit: int
    ) -> list[Bar]:
        """Return `history`; what takes long is put together in a worker thread."""
        present = self.present(name, interval)
        read = partial(
            self.history,
            name,
            interval,
            from_ms=from_ms,
            until_ms=until_ms,
            limit=limit,
            present=present,
        )
        is_quick = self.work_of(interval, limit) <= QUICK_MINUTES
        return read() if is_quick else await anyio.to_thread.run_sync(read)

    def work_of(self, interval: str, limit: int) -> int:
        """Return how many minutes at most have to be read for so many candles."""
        return limit * INTERVAL_MS[interval] // MINUTE_MS

    def last_minutes(self, name: str, count: int) -> list[Bar]:
        """Return the minutes of the last so many minutes, the unfinished one included."""
        from_ms = self._minute_ms - (count - 1) * MINUTE_MS
        bars = self.source.minutes(name, from_ms, self._minute_ms)
        live = self.symbols[name].live
        return bars if live is None else [*bars, live]

    def day(self, name: str) -> Bar | None:
        """Return the last 24 hours of the market's time as one candle."""
        known = self._days.get(name)
        if known is None or known[0] != self._minute_ms:
            from_ms = self._minute_ms - DAY_MS + MINUTE_MS
            bars = self.source.minutes(name, from_ms, self._minute_ms)
            known = self._days[name] = (self._minute_ms, merge(from_ms, bars))
        return self.with_live(known[1], self.symbols[name], self._minute_ms)

    def closed_since(self, name: str, from_ms: int, minute_ms: int) -> Bar | None:
        """Return the closed minutes from `from_ms` to the one shown as one candle; may run in a thread."""
        return merge(from_ms, self.source.minutes(name, max(self.source.first_ms, from_ms), minute_ms))

    def with_live(self, closed: Bar | None, symbol: SymbolMarket, minute_ms: int) -> Bar | None:
        """Return a candle of closed minutes with the minute that is shown, if that is the one after it."""
        live = symbol.live if minute_ms == self._minute_ms else None
        if closed is None:
            return live
        return closed if live is None else join(closed, live)

    # Inside

    def _show(self, symbol: SymbolMarket, point: Point, now_ms: int) -> None:
        whole = symbol.whole
        if whole is None:
            return
        before = symbol.price if symbol.price is not None else point.price
        symbol.live = grow(symbol.live, whole, point)
        symbol.price = point.price
        self.trade(
            symbol,
            point.price,
            max(point.quantity, symbol.instrument.step),
            now_ms,
            sold=point.price < before or (point.price == before and point.quantity % 7 < 3),
        )

    def _turn(self) -> int | None:
        """Close the minute and open the next one; returns where that is if there is a gap before it."""
        ends_ms = self._minute_ms + MINUTE_MS
        next_ms = self.source.next_minute(ends_ms)
        turned_ms = ends_ms if next_ms is None else next_ms
        finished = [symbol for symbol in self.symbols.values() if symbol.whole is not None]
        self._minute_ms = turned_ms
        self.position_ms = turned_ms
        for symbol in finished:
            self._fold(symbol, ends_ms - MINUTE_MS)
        for symbol in self.symbols.values():
            symbol.live, symbol.whole, symbol.points = None, None, []
            self._close(symbol, turned_ms)
        if next_ms is None:
            self._end()
            return None
        self._load()
        return next_ms if next_ms != ends_ms else None

    def _end(self) -> None:
        """There are no more minutes: nobody trades at a price that nothing moves any more."""
        self.has_ended = True
        for symbol in self.symbols.values():
            symbol.status = "BREAK"

    def _fold(self, symbol: SymbolMarket, minute_ms: int) -> None:
        whole = symbol.whole
        if whole is None:
            return
        for interval, made in symbol.partial.items():
            opened_ms = opening(interval, minute_ms)
            symbol.partial[interval] = (
                whole._replace(opened_ms=opened_ms)
                if made is None or made.opened_ms != opened_ms
                else join(made, whole)
            )

    def _close(self, symbol: SymbolMarket, now_ms: int) -> None:
        for interval, length in INTERVAL_MS.items():
            bar = symbol.partial.get(interval)
            if bar is not None and bar.opened_ms + length <= now_ms:
                symbol.partial[interval] = None
                self.on_closed(Closed(symbol.instrument.symbol, interval, bar))

    def _load(self) -> None:
        self._step = 0
        for name, symbol in self.symbols.items():
            bars = self.source.minutes(name, self._minute_ms, self._minute_ms + MINUTE_MS)
            symbol.live = None
            symbol.whole = bars[0] if bars else None
            rules = symbol.instrument
            symbol.points = [
                point
                for bar in bars
                for point in walk(bar, count=self.count, tick=rules.tick, step=rules.step, salt=name)
            ]

    def _restore(self) -> None:
        """Stand where the position says, without telling anybody."""
        self._load()
        into = self.position_ms - self._minute_ms
        self._step = sum(offset <= into for offset in self._offsets)
        for name, symbol in self.symbols.items():
            shown = symbol.points[: self._step]
            for point in shown:
                if symbol.whole is not None:
                    symbol.live = grow(symbol.live, symbol.whole, point)
            symbol.price = shown[-1].price if shown else self._last_close(name)
        if self.source.next_minute(self._minute_ms) is None:
            self._end()

    def _last_close(self, name: str) -> int | None:
        for days in (1, 30, 400):
            from_ms = max(self.source.first_ms, self._minute_ms - days * DAY_MS)
            bars = self.source.minutes(name, from_ms, self._minute_ms)
            if bars:
                return bars[-1].close
        return None

    def _closed(self, name: str, interval: str, opened_ms: int, minute_ms: int) -> Bar | None:
        length = INTERVAL_MS[interval]
        if length == MINUTE_MS:
            bars = self.source.minutes(name, opened_ms, opened_ms + MINUTE_MS)
            return bars[0] if bars else None
        key = (name, interval, opened_ms)
        bar = self._kept.get(key)
        if bar is None:
            until_ms = min(opened_ms + length, minute_ms)
            bar = merge(opened_ms, self.source.minutes(name, opened_ms, until_ms))
            if bar is not None and opened_ms + length <= minute_ms:
                with self._keeping:
                    self._kept[key] = bar
                    if len(self._kept) > _BARS_KEPT:
                        del self._kept[next(iter(self._kept))]
        return bar
