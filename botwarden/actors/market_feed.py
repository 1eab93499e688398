"""The feeds: one for each symbol of a venue, shared by all its bots.

    bot ──Watch/Unwatch──▶ feeds ──▶ feed of the symbol ◀──prices, candles── venue
    bot ◀──PriceTouched/SignalGiven/FeedLost/FeedRestored──┘

Prices wake only the bots whose thresholds they touch. A closed candle is computed once for all bots
with the same strategy and parameters. While the stream is away the last price is asked for by REST, so
that a position stays watched as long as the venue answers at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from botwarden.actors.signals import SignalKey, SignalSeries
from botwarden.actors.surroundings import Surroundings
from botwarden.actors.thresholds import ThresholdBook
from botwarden.errors import Missing, Unavailable
from botwarden.exchange.port import Market, MarketEvent, StreamLost, StreamRestored
from botwarden.persistence.replica_view import FeedView
from botwarden.runtime import Actor, ChildSpec, InboxSpec, Intensity, Ref, Restart
from botwarden.trading.bot import BotId, Venue
from botwarden.trading.candles import Candle, PriceTick
from botwarden.trading.guard import Thresholds
from botwarden.trading.machine import Signal

#: How often the price is asked for while the stream is away.
POLL_AFTER_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTouched:
    """The market traded at a price that the bot asked to be woken at. The bot is disarmed now."""

    price_quote: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalGiven:
    """A candle has closed and the bot's strategy has spoken."""

    signal: Signal
    #: The candle's close.
    price_quote: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLost:
    """No prices come at the moment, and why."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRestored:
    """Prices come (again)."""

    price_quote: Decimal


#: What a feed tells a bot.
FeedNotice = PriceTouched | SignalGiven | FeedLost | FeedRestored


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedKey:
    """Which feed is meant."""

    venue: Venue
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Wake the bot at these prices; with a signal key also after each closed candle."""

    feed: FeedKey
    bot_id: BotId
    bot: Ref[FeedNotice]
    thresholds: Thresholds
    signal: SignalKey | None
    #: The bot has not heard yet whether prices come.
    greet: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwatch:
    """The bot needs neither prices nor signals."""

    feed: FeedKey
    bot_id: BotId


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """The stream said this."""

    event: MarketEvent


@dataclass(frozen=True, slots=True)
class _Poll:
    """Ask for the price by REST, because the stream is away or has not said one yet."""


FeedMessage = Watch | Unwatch

#: How each feed stands: written by the feeds alone, read by whoever reports it.
FeedBoard = dict[FeedKey, FeedView]


def _conflated(message: FeedMessage | _Heard | _Poll) -> str | None:
    return "price" if isinstance(message, _Heard) and isinstance(message.event, PriceTick) else None


#: A feed's inbox: of prices only the newest is kept, candles all.
FEED_INBOX = InboxSpec(capacity=100_000, newest_per=_conflated)


class MarketFeedActor(Actor[FeedMessage | _Heard | _Poll]):
    """The prices and candles of one symbol."""

    def __init__(
        self, surroundings: Surroundings, key: FeedKey, watches: dict[BotId, Watch], board: FeedBoard
    ) -> None:
        self._surroundings = surroundings
        self._key = key
        self._market: Market = surroundings.exchange.market(key.venue)
        #: Outlives this object, so that a restarted feed watches for the same bots.
        self._watches = watches
        self._board = board
        self._book = ThresholdBook()
        self._series: dict[str, SignalSeries] = {}
        self._price: Decimal | None = None
        #: What was last told to the bots; nothing yet at the start.
        self._condition: FeedLost | FeedRestored | None = None
        self._stream_is_away = False

    async def started(self) -> None:
        """Ask for the price at once: positions are watched before any strategy is warmed up."""
        self.context.start_duty("prices", lambda: self._listen(()))
        for watch in self._watches.values():
            self._book.arm(watch.bot_id, watch.thresholds)
        self.context.ref.tell(_Poll())

    async def receive(self, message: FeedMessage | _Heard | _Poll, /) -> None:
        """Hear the market, or serve a bot."""
        match message:
            case _Heard(event=PriceTick(price_quote=price)):
                self._on_price(price)
            case _Heard(event=Candle() as candle):
                await self._on_candle(candle)
            case _Heard(event=StreamLost() | StreamRestored() as change):
                self._stream_is_away = isinstance(change, StreamLost)
                await self._poll()
            case Watch():
                await self._watch(message)
            case Unwatch(bot_id=bot_id):
                self._unwatch(bot_id)
            case _Poll():
                await self._poll()

    async def _listen(self, intervals: Sequence[str]) -> None:
        async for event in self._market.stream(self._key.symbol, intervals):
            if not intervals or isinstance(event, Candle):
                self.context.ref.tell(_Heard(event=event))

    async def _watch(self, watch: Watch) -> None:
        self._watches[watch.bot_id] = watch
        self._book.arm(watch.bot_id, watch.thresholds)
        if watch.signal is not None:
            await self._follow(watch.bot_id, watch.signal)
        for interval, series in self._series.items():
            if watch.signal is None or interval != watch.signal.interval:
                series.drop(watch.bot_id)
        if self._condition is not None and watch.greet:
            watch.bot.tell(self._condition)
        if self._price is not None:
            self._wake(self._price)

    async def _follow(self, bot_id: BotId, key: SignalKey) -> None:
        try:
            await self._series_of(key.interval).add(bot_id, key)
        except Unavailable as unavailable:
            self._on_lost(str(unavailable))
            self._poll_later()

    def _series_of(self, interval: str) -> SignalSeries:
        series = self._series.get(interval)
        if series is None:
            series = self._series[interval] = SignalSeries(self._market, self._key.symbol, interval)
            self.context.start_duty(f"candles:{interval}", lambda: self._listen((interval,)))
        return series

    def _unwatch(self, bot_id: BotId) -> None:
        self._watches.pop(bot_id, None)
        self._book.disarm(bot_id)
        for series in self._series.values():
            series.drop(bot_id)

    def _on_price(self, price: Decimal) -> None:
        self._price = price
        if not isinstance(self._condition, FeedRestored):
            self._tell_all(FeedRestored(price_quote=price))
        self._note("live")
        self._wake(price)

    def _on_lost(self, reason: str) -> None:
        if not isinstance(self._condition, FeedLost):
            self._tell_all(FeedLost(message=reason))
            self._note("lost")

    def _tell_all(self, condition: FeedLost | FeedRestored) -> None:
        self._condition = condition
        for watch in self._watches.values():
            watch.bot.tell(condition)

    def _note(self, state: str) -> None:
        known = self._board.get(self._key)
        before = known.last_price_at if known is not None else None
        at = self.context.clock.now() if state == "live" else before
        self._board[self._key] = FeedView(
            venue=self._key.venue,
            symbol=self._key.symbol,
            state=state,
            last_price_at=at,
            positions_guarded=self._book.guarded if state == "live" else 0,
        )

    def _wake(self, price: Decimal) -> None:
        for bot_id in self._book.touched(price):
            self._watches[bot_id].bot.tell(PriceTouched(price_quote=price))

    async def _on_candle(self, candle: Candle) -> None:
        series = self._series[candle.interval]
        try:
            self._give(candle, await series.advance(candle))
        except Unavailable as unavailable:
            self._on_lost(str(unavailable))
            self._poll_later()

    def _give(self, candle: Candle, signals: Sequence[tuple[BotId, Signal]]) -> None:
        for bot_id, signal in signals:
            self._watches[bot_id].bot.tell(SignalGiven(signal=signal, price_quote=candle.close))

    async def _poll(self) -> None:
        """Ask the venue for what the stream has not said; again in a while if it stays away."""
        try:
            tick = await self._market.price(self._key.symbol)
            self._on_price(tick.price_quote)
            await self._catch_up()
        except (Unavailable, Missing) as unavailable:
            self._on_lost(str(unavailable))
            self._poll_later()
        if self._stream_is_away:
            self._poll_later()

    def _poll_later(self) -> None:
        self.context.start_timer("poll", _Poll(), after_s=POLL_AFTER_S)

    async def _catch_up(self) -> None:
        for watch in self._watches.values():
            if watch.signal is not None:
                await self._series_of(watch.signal.interval).add(watch.bot_id, watch.signal)
        for series in self._series.values():
            candle, signals = await series.catch_up()
            if candle is not None:
                self._give(candle, signals)


class FeedsActor(Actor[FeedMessage]):
    """Finds the feed of a symbol, opening it at the first need."""

    def __init__(self, surroundings: Surroundings, board: FeedBoard) -> None:
        self._surroundings = surroundings
        self._board = board
        self._feeds: dict[FeedKey, Ref[FeedMessage]] = {}

    async def receive(self, message: FeedMessage, /) -> None:
        """Pass the message on."""
        feed = self._feeds.get(message.feed)
        if feed is None:
            feed = self._feeds[message.feed] = await self._spawn(message.feed)
        feed.tell(message)

    async def _spawn(self, key: FeedKey) -> Ref[FeedMessage]:
        watches: dict[BotId, Watch] = {}
        return await self.context.spawn(
            ChildSpec(
                name=f"feed:{key.venue}:{key.symbol}",
                start=lambda: MarketFeedActor(self._surroundings, key, watches, self._board),
                restart=Restart.PERMANENT,
                intensity=Intensity(restarts=1_000_000_000, within_s=60.0),
                inbox=FEED_INBOX,
                wait=False,
            )
        )
