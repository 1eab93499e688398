"""Market streams: who has subscribed to what, and what they are told.

The invariant: a message is written once in each unit of time, however many read it.
"""

from collections import defaultdict
from fnmatch import fnmatchcase
from typing import Any

import anyio
import msgspec

from botwarden.exchange.paper import events, fault_sockets
from botwarden.exchange.paper.bars import INTERVAL_MS, Bar
from botwarden.exchange.paper.book import Book
from botwarden.exchange.paper.connection import Client
from botwarden.exchange.paper.fault_events import Ending
from botwarden.exchange.paper.fault_plan import FaultPlan
from botwarden.exchange.paper.market import Closed, Market, Trade
from botwarden.exchange.paper.time_units import event_in_micros
from botwarden.exchange.paper.times import DAY_MS, ServerClock

TICKER_EVERY_S = 1.0

_encode = msgspec.json.Encoder().encode


class StreamHub:
    """All subscriptions of one market."""

    def __init__(self, market: Market, clock: ServerClock, faults: FaultPlan) -> None:
        self.faults = faults
        self._market = market
        self._clock = clock
        self._clients: defaultdict[str, set[Client]] = defaultdict(set)
        #: What was last said of each kline stream, so that nothing is said twice.
        self._said: dict[str, Bar | None] = {}
        #: The book as it was last told on each stream of changes.
        self._books: dict[str, Book] = {}

    # Subscriptions

    def subscribe(self, client: Client, streams: list[str]) -> None:
        """Let a client have these streams; unknown ones stay silent, as at the venue."""
        for stream in streams:
            client.streams.add(stream)
            self._clients[stream].add(client)
            known = self._kline_of(stream)
            if known is not None:
                self._market.follow(*known)
            levels, book = self._book_of(stream)
            if book is not None and not levels:
                self._books.setdefault(stream, book)

    def unsubscribe(self, client: Client, streams: list[str]) -> None:
        """Take streams away from a client."""
        for stream in streams:
            client.streams.discard(stream)
            self._clients[stream].discard(client)
            if not self._clients[stream]:
                del self._clients[stream]
                self._said.pop(stream, None)
                self._books.pop(stream, None)

    def end_all(self, pattern: str, ending: Ending) -> int:
        """End the connections that have a stream like this; returns how many."""
        hit = {
            client
            for stream, clients in self._clients.items()
            if fnmatchcase(stream, pattern)
            for client in clients
        }
        self._end(hit, ending, self.faults.all_cleared)
        return len(hit)

    def leave(self, client: Client) -> None:
        """Forget a client."""
        self.unsubscribe(client, list(client.streams))

    # What happens

    def on_trade(self, trade: Trade) -> None:
        """Tell a trade, and the book that it leaves behind."""
        name = trade.symbol.lower()
        if f"{name}@trade" in self._clients:
            self._publish(f"{name}@trade", events.trade(trade))
        if f"{name}@aggTrade" in self._clients:
            self._publish(f"{name}@aggTrade", events.aggregate_trade(trade))
        if f"{name}@bookTicker" in self._clients:
            book = self._market.symbols[trade.symbol].book()
            if book is not None:
                self._publish(f"{name}@bookTicker", events.book_ticker(trade.symbol, book))

    def on_closed(self, closed: Closed) -> None:
        """Tell that a candle is finished."""
        stream = f"{closed.symbol.lower()}@kline_{closed.interval}"
        if stream in self._clients:
            self._said[stream] = None
            self._publish(stream, self._kline(closed.symbol, closed.interval, closed.bar, is_closed=True))

    # What is told now and then

    async def run(self, *, speed: float) -> None:
        """Tell growing candles, tickers and books, for ever."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._every, min(2.0, max(0.25, 15 / speed)), self._tell_klines)
            group.start_soon(self._every, TICKER_EVERY_S, self._tell_tickers)
            group.start_soon(self._every, TICKER_EVERY_S, self._tell_depths)

    async def _every(self, seconds: float, tell: Any) -> None:
        while True:
            await anyio.sleep(seconds)
            tell()

    def _tell_klines(self) -> None:
        for stream in list(self._clients):
            known = self._kline_of(stream)
            if known is None:
                continue
            name, interval = known
            bar = self._market.current(name, interval)
            if bar is not None and self._said.get(stream) != bar:
                self._said[stream] = bar
                self._publish(stream, self._kline(name, interval, bar, is_closed=False))

    def _tell_tickers(self) -> None:
        now_ms = self._clock.now_ms()
        wants_all = "!miniTicker@arr" in self._clients
        said = []
        for name in self._market.symbols:
            short, full = f"{name.lower()}@miniTicker", f"{name.lower()}@ticker"
            if not wants_all and short not in self._clients and full not in self._clients:
                continue
            day, book = self._market.day(name), self._market.symbols[name].book()
            if day is None or book is None:
                continue
            event = events.mini_ticker(name, day, now_ms)
            if not self._is_mute(short):
                said.append(event)
            self._publish(short, event)
            if full in self._clients:
                self._publish(full, self._day_ticker(name, day, book, now_ms))
        if wants_all:
            self._publish("!miniTicker@arr", said)

    def _tell_depths(self) -> None:
        for stream in list(self._clients):
            levels, book = self._book_of(stream)
            if book is None:
                continue
            if levels:
                self._publish(stream, events.depth(book, levels))
            else:
                self._tell_changes(stream, book)

    def _tell_changes(self, stream: str, book: Book) -> None:
        """Tell what has changed on a book since it was last told."""
        before = self._books.get(stream)
        self._books[stream] = book
        if before is not None and before.update_id < book.update_id:
            name = book.instrument.symbol
            self._publish(stream, events.depth_update(name, before, book, self._clock.now_ms()))

    # Inside

    def _day_ticker(self, name: str, day: Bar, book: Book, now_ms: int) -> Any:
        recent = self._market.symbols[name].recent
        last = recent[-1] if recent else None
        opened_ms = self._market.position_ms - DAY_MS
        return events.day_ticker(name, book, day, last=last, opened_ms=opened_ms, now_ms=now_ms)

    def _kline(self, name: str, interval: str, bar: Bar, *, is_closed: bool) -> Any:
        return events.kline(
            name,
            interval,
            bar,
            is_closed=is_closed,
            last_trade_id=self._market.symbols[name].next_trade_id - 1,
            now_ms=self._clock.now_ms(),
        )

    def _kline_of(self, stream: str) -> tuple[str, str] | None:
        """Return symbol and interval of a kline stream that exists."""
        name, _, interval = stream.partition("@kline_")
        known = name.upper() in self._market.symbols and interval in INTERVAL_MS
        return (name.upper(), interval) if known else None

    def _book_of(self, stream: str) -> tuple[int, Book | None]:
        """Return how many levels a stream of a book shows, zero for its changes, and the book; or none."""
        name, is_depth, kind = stream.partition("@depth")
        levels = kind.partition("@")[0]
        symbol = self._market.symbols.get(name.upper())
        if symbol is None or not is_depth or levels not in ("", "5", "10", "20"):
            return 0, None
        return int(levels or 0), symbol.book()

    def _is_mute(self, stream: str) -> bool:
        """Whether the symbol's status lets nothing be told. Source: Binance spot API, FAQ, glossary."""
        symbol = self._market.symbols.get(stream.partition("@")[0].upper())
        if symbol is None:
            return False
        return symbol.status == "BREAK" or (symbol.status == "CANCEL_ONLY" and "@kline_" in stream)

    def _publish(self, stream: str, event: Any) -> None:
        clients = self._clients.get(stream)
        if not clients or self._is_mute(stream):
            return
        caught = None if self.faults.is_empty else self.faults.catch_event(stream, event)
        if caught is None:
            self._tell(stream, event)
            return
        fault_sockets.deliver(
            caught,
            lambda: self._tell(stream, event),
            replace=lambda message: self._tell_raw(stream, message, message),
            end=lambda ending: self._end(clients, ending, caught.go_on),
        )

    def _tell(self, stream: str, event: Any) -> None:
        raw = _encode(event).decode()
        wants_micros = any(client.in_micros for client in self._clients.get(stream, ()))
        self._tell_raw(stream, raw, _encode(event_in_micros(event)).decode() if wants_micros else raw)

    def _tell_raw(self, stream: str, raw: str, raw_in_micros: str) -> None:
        for client in self._clients.get(stream, ()):
            said = raw_in_micros if client.in_micros else raw
            client.offer(f'{{"stream":"{stream}","data":{said}}}' if client.is_combined else said)

    def _end(self, clients: set[Client], ending: Ending, until: anyio.Event) -> None:
        for client in clients:
            client.end(ending, until)
