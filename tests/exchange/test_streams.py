"""One websocket for all readers of a venue, which says when it breaks and when it is whole again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import anyio
import pytest

from botwarden.exchange import translate
from botwarden.exchange.port import MarketEvent, StreamLost, StreamRestored
from botwarden.exchange.stream_rules import StreamRules
from botwarden.exchange.stream_session import STREAMS_PER_MESSAGE
from botwarden.exchange.streams import MarketStreams, Reader
from botwarden.runtime import Clock, SystemClock
from botwarden.runtime.testing import FakeClock
from botwarden.trading.candles import Candle, PriceTick
from tests.exchange.conftest import JITTER
from tests.exchange.stream_venue import StreamVenue, kline, trade

pytestmark = pytest.mark.anyio

ONE = Decimal(1)

QUICK = StreamRules(silence_s=10.0, first_backoff_s=0.01, longest_backoff_s=0.05)
HASTY = StreamRules(silence_s=0.1, first_backoff_s=0.01, longest_backoff_s=0.05)


@asynccontextmanager
async def running(
    venue: StreamVenue, rules: StreamRules = QUICK, pulse: str | None = None, clock: Clock | None = None
) -> AsyncIterator[MarketStreams]:
    """Run the streams of this venue."""
    async with aiohttp.TCPConnector() as connector:
        streams = MarketStreams(
            venue.origin,
            clock=clock or SystemClock(),
            rng=JITTER,
            connector=lambda: connector,
            rules=rules,
            pulse=pulse,
        )
        async with anyio.create_task_group() as group:
            group.start_soon(streams.run)
            yield streams
            group.cancel_scope.cancel()


class Listener:
    """Reads one stream in the background and keeps what it heard."""

    def __init__(self, streams: MarketStreams, symbol: str, *intervals: str) -> None:
        self._streams, self._symbol, self._intervals = streams, symbol, intervals
        self.heard: list[MarketEvent] = []
        self._changed = anyio.Event()
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        with self._scope:
            async for event in self._streams.read(self._symbol, self._intervals):
                self.heard.append(event)
                self._changed.set()
                self._changed = anyio.Event()

    async def until(self, kind: Any, count: int = 1) -> None:
        """Return when so many events of this kind were heard."""
        while len(self.of(kind)) < count:
            await self._changed.wait()

    def of(self, kind: Any) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]

    def leave(self) -> None:
        self._scope.cancel()


@asynccontextmanager
async def listening(streams: MarketStreams, symbol: str, *intervals: str) -> AsyncIterator[Listener]:
    """Listen to a symbol until the block ends."""
    listener = Listener(streams, symbol, *intervals)
    async with anyio.create_task_group() as group:
        group.start_soon(listener.run)
        yield listener
        listener.leave()


async def test_prices_and_closed_bars(spoken: StreamVenue) -> None:
    """A reader hears first that its streams stand, then prices and closed bars, and no unfinished ones."""
    async with running(spoken) as streams, listening(streams, "BTCUSDT", "1m") as reader:
        await reader.until(StreamRestored)
        assert spoken.subscribed == [{"btcusdt@trade", "btcusdt@kline_1m"}]
        await spoken.say("btcusdt@kline_1m", kline("BTCUSDT", "1m", "7", opened_ms=0, closed=False))
        await spoken.say("btcusdt@kline_1m", kline("BTCUSDT", "1m", "8", opened_ms=0, closed=True))
        await spoken.say("btcusdt@trade", trade("BTCUSDT", "9.5"))
        await reader.until(PriceTick)
        assert [candle.close for candle in reader.of(Candle)] == [8]
        assert isinstance(reader.heard[0], StreamRestored)


async def test_bar_that_comes_twice_counts_once(spoken: StreamVenue) -> None:
    """A repeated closed bar is heard once; the next is heard."""
    async with running(spoken) as streams, listening(streams, "BTCUSDT", "1m") as reader:
        await reader.until(StreamRestored)
        for opened_ms in (0, 0, 60_000):
            await spoken.say(
                "btcusdt@kline_1m", kline("BTCUSDT", "1m", "8", opened_ms=opened_ms, closed=True)
            )
        await spoken.say("btcusdt@trade", trade("BTCUSDT", "1"))
        await reader.until(PriceTick)
        assert len(reader.of(Candle)) == 2


async def test_readers_share_one_websocket(spoken: StreamVenue) -> None:
    """Symbols come and go on one live connection, and each stream is subscribed once."""
    async with running(spoken) as streams, listening(streams, "BTCUSDT") as first:
        await first.until(StreamRestored)
        async with (
            listening(streams, "ETHUSDT", "1m") as second,
            listening(streams, "BTCUSDT", "1m") as third,
        ):
            await second.until(StreamRestored)
            await third.until(StreamRestored)
            await spoken.say("btcusdt@trade", trade("BTCUSDT", "1"))
            await first.until(PriceTick)
            await third.until(PriceTick)
            assert second.of(PriceTick) == []
        await spoken.until(lambda: spoken.subscribed == [{"btcusdt@trade"}])
        names = [
            name for asked in spoken.requests if asked["method"] == "SUBSCRIBE" for name in asked["params"]
        ]
        assert sorted(names) == sorted(set(names))


async def test_last_reader_leaves(spoken: StreamVenue) -> None:
    """Nobody reads: the websocket is closed. Somebody reads again: a new one is opened."""
    async with running(spoken) as streams:
        async with listening(streams, "BTCUSDT") as reader:
            await reader.until(StreamRestored)
        await spoken.until(lambda: spoken.connections_ended == 1)
        async with listening(streams, "BTCUSDT") as reader:
            await reader.until(StreamRestored)
            assert reader.of(StreamLost) == []
        assert len(spoken.sockets) == 2


@pytest.mark.parametrize(
    ("way", "told"),
    [("cut", "closed"), ("close", "1001"), ("farewell", "about to close"), ("noise", "closed")],
)
async def test_reconnects(spoken: StreamVenue, way: str, told: str) -> None:
    """However a connection ends, the reader hears that it is lost, and again that it is whole."""
    async with running(spoken) as streams, listening(streams, "BTCUSDT", "1m") as reader:
        await reader.until(StreamRestored)
        if way == "cut":
            spoken.drop()
        elif way == "close":
            await spoken.sockets[-1].close(code=1001)
        elif way == "farewell":
            await spoken.say_raw('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}')
        else:
            await spoken.sockets[-1].send_bytes(b"\x00")
        await reader.until(StreamRestored, 2)
        assert [type(event) for event in reader.heard] == [StreamRestored, StreamLost, StreamRestored]
        assert told in reader.of(StreamLost)[0].message
        assert spoken.subscribed[-1] == {"btcusdt@trade", "btcusdt@kline_1m"}
        await spoken.say("btcusdt@trade", trade("BTCUSDT", "3"))
        await reader.until(PriceTick)


async def test_silence_is_a_failure(spoken: StreamVenue) -> None:
    """A connection that stands but says nothing for ten seconds is given up and made anew."""
    clock = FakeClock()
    async with (
        running(spoken, StreamRules(), clock=clock) as streams,
        listening(streams, "BTCUSDT") as reader,
    ):
        await reader.until(StreamRestored)
        await clock.advance(9)
        await spoken.say("btcusdt@trade", trade("BTCUSDT", "5"))
        await reader.until(PriceTick)
        await clock.advance(9.9)
        assert reader.of(StreamLost) == []
        await clock.advance(0.2)
        await reader.until(StreamLost)
        assert "nothing was heard for 10 s" in reader.of(StreamLost)[0].message
        await spoken.until(lambda: spoken.connections_ended == 1)
        await clock.advance(1)
        await reader.until(StreamRestored, 2)
        assert len(spoken.sockets) == 2


async def test_requests_keep_the_venues_pace(spoken: StreamVenue) -> None:
    """Requests leave a quarter of a second apart: the venue disconnects who sends more than five."""
    clock = FakeClock()
    intervals = [f"{minutes}m" for minutes in range(2 * STREAMS_PER_MESSAGE)]
    async with running(spoken, clock=clock) as streams, listening(streams, "BTCUSDT", *intervals):
        for count in (1, 2, 3):
            await spoken.until(lambda count=count: len(spoken.requests) == count)
            await clock.advance(0.125)
            assert len(spoken.requests) == count
            await clock.advance(0.125)


async def test_ban_is_waited_out(spoken: StreamVenue) -> None:
    """A venue that refuses the connection and says for how long is left alone for so long."""
    clock = FakeClock()
    spoken.status, spoken.retry_after = 418, "120"
    async with running(spoken, clock=clock) as streams, listening(streams, "BTCUSDT") as reader:
        await reader.until(StreamLost)
        spoken.status = None
        await clock.advance(119)
        assert spoken.sockets == []
        await clock.advance(2)
        await reader.until(StreamRestored)


async def test_unanswered_subscription_is_a_failure(spoken: StreamVenue) -> None:
    """A venue that ignores our request is not taken for a quiet market."""
    spoken.ignores_requests = True
    async with running(spoken, HASTY) as streams, listening(streams, "BTCUSDT") as reader:
        await reader.until(StreamLost)
        assert reader.of(StreamRestored) == []
        spoken.ignores_requests = False
        await reader.until(StreamRestored)


async def test_busy_stream_does_not_hide_an_unanswered_request(spoken: StreamVenue) -> None:
    """While one symbol speaks, another whose subscription is never confirmed is not taken for live."""
    clock = FakeClock()
    async with running(spoken, clock=clock) as streams, listening(streams, "BTCUSDT") as busy:
        await busy.until(StreamRestored)
        await clock.advance(1)
        spoken.ignores_requests = True
        async with listening(streams, "ETHUSDT") as ignored:
            await spoken.until(lambda: len(spoken.requests) == 2)
            for count in (1, 2):
                await clock.advance(4.9)
                await spoken.say("btcusdt@trade", trade("BTCUSDT", "5"))
                await busy.until(PriceTick, count)
            assert ignored.heard == []
            await clock.advance(0.3)
            await ignored.until(StreamLost)


async def test_venue_that_is_away(spoken: StreamVenue) -> None:
    """While no connection can be made a reader hears so once; a later reader hears it at once."""
    spoken.status = 503
    async with running(spoken) as streams, listening(streams, "BTCUSDT") as reader:
        await reader.until(StreamLost)
        async with listening(streams, "ETHUSDT") as later:
            await later.until(StreamLost)
            spoken.status = None
            await later.until(StreamRestored)
        await reader.until(StreamRestored)
        assert len(reader.of(StreamLost)) == 1


async def test_refused_stream(spoken: StreamVenue) -> None:
    """A stream that the venue refuses is told to its reader."""
    spoken.refuse_with = "Invalid request: no such stream"
    async with running(spoken) as streams, listening(streams, "NOSUCH") as reader:
        await reader.until(StreamLost)
        assert "no such stream" in reader.of(StreamLost)[0].message
        assert len(spoken.sockets) == 1


async def test_unreadable_messages_are_survived(spoken: StreamVenue) -> None:
    """Bad JSON and unknown events cost nothing but themselves."""
    async with running(spoken) as streams, listening(streams, "BTCUSDT") as reader:
        await reader.until(StreamRestored)
        for text in (
            "{",
            "[]",
            '{"stream":"btcusdt@trade","data":{"p":"x"}}',
            '{"stream":"a@b","data":1}',
            "{}",
        ):
            await spoken.say_raw(text)
        await spoken.say("btcusdt@trade", trade("BTCUSDT", "5"))
        await reader.until(PriceTick)
        assert reader.of(StreamLost) == []


async def test_pulse_is_subscribed_with_the_others(spoken: StreamVenue) -> None:
    """Where markets may be quiet a stream that always speaks is heard as well, but given to nobody."""
    async with (
        running(spoken, pulse="btcusdt@miniTicker") as streams,
        listening(streams, "DULLUSDT") as reader,
    ):
        await reader.until(StreamRestored)
        assert spoken.subscribed == [{"dullusdt@trade", "btcusdt@miniTicker"}]


async def test_many_streams_use_more_connections(spoken: StreamVenue) -> None:
    """A connection carries at most 1,024 streams, in messages of bounded length; the rest gets another."""
    intervals = [f"{minutes}m" for minutes in range(600)]
    async with (
        running(spoken) as streams,
        listening(streams, "BTCUSDT", *intervals) as first,
        listening(streams, "ETHUSDT", *intervals) as second,
    ):
        await first.until(StreamRestored)
        await second.until(StreamRestored)
        assert sorted(len(names) for names in spoken.subscribed) == [601, 601]
        assert max(len(asked["params"]) for asked in spoken.requests) <= STREAMS_PER_MESSAGE


async def test_end_of_service_is_told(spoken: StreamVenue) -> None:
    """When the streams are stopped under their readers, the readers hear so."""
    async with anyio.create_task_group() as outer:
        async with running(spoken) as streams:
            listener = Listener(streams, "BTCUSDT")
            outer.start_soon(listener.run)
            await listener.until(StreamRestored)
        await listener.until(StreamLost)
        listener.leave()


async def test_prices_are_conflated_and_bars_are_not() -> None:
    """A slow reader gets every bar and the newest price only."""
    reader = Reader(frozenset({"btcusdt@trade"}))
    moment = SystemClock().now()
    ticks = [
        PriceTick(symbol="BTCUSDT", price_quote=Decimal(price), traded_at=moment) for price in range(1, 100)
    ]
    bars = [a_bar(minute) for minute in range(3)]
    for tick in ticks[:50]:
        reader.hear(tick)
    for bar in bars:
        reader.hear(bar)
    for tick in ticks[50:]:
        reader.hear(tick)
    assert [await reader.next() for _ in range(4)] == [*bars, ticks[-1]]


async def test_price_from_before_the_break_is_forgotten() -> None:
    """After a loss nobody is given a price that the market has left behind."""
    reader = Reader(frozenset({"btcusdt@trade"}))
    reader.hear(PriceTick(symbol="BTCUSDT", price_quote=ONE, traded_at=SystemClock().now()))
    reader.hear(a_bar(0))
    reader.lost("cut")
    reader.lost("cut again")
    reader.restored()
    heard = [await reader.next() for _ in range(3)]
    assert heard == [a_bar(0), StreamLost(message="cut"), StreamRestored()]
    with anyio.move_on_after(0) as waited:
        await reader.next()
    assert waited.cancelled_caught


def a_bar(minute: int) -> Candle:
    """Return a flat bar."""
    return translate.candle(
        "BTCUSDT",
        "1m",
        opened_ms=minute * 60_000,
        closed_ms=minute * 60_000 + 59_999,
        prices=[ONE] * 4,
        volume=ONE,
    )


@pytest.mark.parametrize("failures", [1, 2, 3, 10, 1000])
def test_backoff_grows_to_a_bound(failures: int) -> None:
    """Pauses double up to half a minute, each a little off, so that replicas do not come in step."""
    expected_s = min(30.0, 0.5 * 2 ** (min(failures, 20) - 1))
    pauses_s = [StreamRules().backoff_s(failures, JITTER) for _ in range(50)]
    assert 0.8 * expected_s <= min(pauses_s) < max(pauses_s) <= 1.2 * expected_s
