"""The feeds: one for each symbol of a venue, shared by all its bots.

    bot ──Watch/Unwatch──▶ feeds ──▶ feed of the symbol ◀──prices── venue
    bot ◀──PriceTouched/FeedLost/FeedRestored──┤
    bot ◀──SignalGiven/StrategyFailed── candle feed of an interval ◀──candles── venue
    bot ◀──HighMissed── hindsight, for who was just taken up ◀──candles── venue

Prices wake only the bots whose thresholds they touch. While the stream is away the last price is asked for
by REST, so that a position stays watched as long as the venue answers at all. The invariant: between a
price and the bots that it touches nothing is waited for; candles and their history are another actor's.
"""

from dataclasses import dataclass
from decimal import Decimal

import anyio

from botwarden.actors.candle_feed import CANDLE_INBOX, CandleFeedActor, CandleMessage, Hush, Listen
from botwarden.actors.feed_mail import (
    FeedBoard,
    FeedKey,
    FeedLost,
    FeedMessage,
    FeedRestored,
    LookBack,
    PriceTouched,
    Unwatch,
    Watch,
    Watches,
)
from botwarden.actors.hindsight import HINDSIGHT_INBOX, HindsightActor
from botwarden.actors.signals import SignalKey
from botwarden.actors.surroundings import Surroundings
from botwarden.actors.thresholds import ThresholdBook
from botwarden.errors import Missing, Unavailable
from botwarden.exchange.port import Market, MarketEvent, StreamLost, StreamRestored
from botwarden.persistence.replica_view import FeedView
from botwarden.runtime import Actor, ChildSpec, InboxSpec, Intensity, Ref, Restart
from botwarden.trading.bot import BotId
from botwarden.trading.candles import PriceTick

#: How often the price is asked for while the stream is away.
POLL_AFTER_S = 2.0

#: A feed is never given up: positions are watched by it.
NEVER_GIVE_UP = Intensity(restarts=1_000_000_000, within_s=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """The stream said this."""

    event: MarketEvent


@dataclass(frozen=True, slots=True)
class _Poll:
    """Ask for the price by REST, because the stream is away or has not said one yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Polled:
    """The venue has answered: a price, or a problem."""

    price_quote: Decimal | None
    problem: str = ""
    #: How many prices the stream had said when the question was asked.
    heard_before: int


_OwnWord = _Heard | _Poll | _Polled


def _conflated(message: FeedMessage | _OwnWord) -> str | None:
    return "price" if isinstance(message, _Heard) and isinstance(message.event, PriceTick) else None


#: A feed's inbox: of prices only the newest is kept.
FEED_INBOX = InboxSpec(capacity=100_000, newest_per=_conflated)


class MarketFeedActor(Actor[FeedMessage | _OwnWord]):
    """The prices of one symbol; it has a candle feed for each interval that its bots ask for."""

    def __init__(
        self, surroundings: Surroundings, key: FeedKey, watches: dict[BotId, Watch], board: FeedBoard
    ) -> None:
        self._key = key
        self._market: Market = surroundings.exchange.market(key.venue)
        #: Outlives this object, so that a restarted feed watches for the same bots.
        self._watches = watches
        self._board = board
        self._book = ThresholdBook()
        self._candle_feeds: dict[str, Ref[CandleMessage]] = {}
        self._hindsight: Ref[LookBack] | None = None
        #: What each bot's strategy is, as the candle feeds were told.
        self._listening: dict[BotId, SignalKey] = {}
        self._price: Decimal | None = None
        self._prices_heard = 0
        #: What was last told to the bots; nothing yet at the start.
        self._condition: FeedLost | FeedRestored | None = None
        self._stream_is_away = False
        self._price_wanted = anyio.Event()

    async def started(self) -> None:
        """Ask for the price at once: positions are watched before any strategy is warmed up."""
        self.context.start_duty("prices", self._listen)
        self.context.start_duty("questions", self._ask_when_wanted)
        for watch in self._watches.values():
            self._book.arm(watch.bot_id, watch.thresholds)
        self._price_wanted.set()
        for watch in self._watches.values():
            await self._follow(watch)

    async def receive(self, message: FeedMessage | _OwnWord, /) -> None:
        """Hear the market, or serve a bot."""
        match message:
            case _Heard(event=PriceTick(price_quote=price)):
                self._prices_heard += 1
                self._on_price(price)
            case _Heard(event=change):
                self._stream_is_away = isinstance(change, StreamLost)
                self._price_wanted.set()
            case Watch():
                await self._watch(message)
            case Unwatch(bot_id=bot_id):
                self._unwatch(bot_id)
            case LookBack():
                await self._look_back(message)
            case _Poll():
                self._price_wanted.set()
            case _Polled():
                self._on_polled(message)

    async def _listen(self) -> None:
        async for event in self._market.stream(self._key.symbol, ()):
            if isinstance(event, PriceTick | StreamLost | StreamRestored):
                self.context.ref.tell(_Heard(event=event))

    async def _ask_when_wanted(self) -> None:
        while True:
            await self._price_wanted.wait()
            self._price_wanted = anyio.Event()
            heard = self._prices_heard
            try:
                tick = await self._market.price(self._key.symbol)
                answer = _Polled(price_quote=tick.price_quote, heard_before=heard)
            except (Unavailable, Missing) as unavailable:
                answer = _Polled(price_quote=None, problem=str(unavailable), heard_before=heard)
            self.context.ref.tell(answer)

    def _on_polled(self, answer: _Polled) -> None:
        """Believe the answer unless the stream has said something newer; ask again while it is away."""
        if answer.heard_before == self._prices_heard:
            if answer.price_quote is not None:
                self._on_price(answer.price_quote)
            else:
                self._on_lost(answer.problem)
        if self._stream_is_away or isinstance(self._condition, FeedLost):
            self.context.start_timer("poll", _Poll(), after_s=POLL_AFTER_S)

    async def _watch(self, watch: Watch) -> None:
        self._watches[watch.bot_id] = watch
        self._book.arm(watch.bot_id, watch.thresholds)
        if self._condition is not None and watch.greet:
            watch.bot.tell(self._condition)
        if self._price is not None:
            self._wake(self._price)
        await self._follow(watch)

    async def _follow(self, watch: Watch) -> None:
        """Let the bot's strategy be heard as it asks now; a bot that greets may be a new one."""
        before, wanted = self._listening.get(watch.bot_id), watch.signal
        if before is not None and (wanted is None or wanted.interval != before.interval):
            self._hush(watch.bot_id)
        if wanted is not None and (watch.greet or wanted != before):
            feed = self._candle_feeds.get(wanted.interval) or await self._spawn(wanted.interval)
            if feed.tell(Listen(bot_id=watch.bot_id, bot=watch.bot, key=wanted)):
                self._listening[watch.bot_id] = wanted

    def _hush(self, bot_id: BotId) -> None:
        before = self._listening.pop(bot_id, None)
        if before is not None:
            self._candle_feeds[before.interval].tell(Hush(bot_id=bot_id))

    async def _spawn(self, interval: str) -> Ref[CandleMessage]:
        listeners: dict[BotId, Listen] = {}
        feed = await self.context.spawn(
            ChildSpec(
                name=f"candles:{interval}",
                start=lambda: CandleFeedActor(self._market, self._key, interval, listeners),
                restart=Restart.PERMANENT,
                intensity=NEVER_GIVE_UP,
                inbox=CANDLE_INBOX,
                wait=False,
            )
        )
        self._candle_feeds[interval] = feed
        return feed

    async def _look_back(self, message: LookBack) -> None:
        if self._hindsight is None:
            self._hindsight = await self.context.spawn(
                ChildSpec(
                    name="hindsight",
                    start=lambda: HindsightActor(self._market, self._key),
                    restart=Restart.PERMANENT,
                    intensity=NEVER_GIVE_UP,
                    inbox=HINDSIGHT_INBOX,
                    wait=False,
                )
            )
        self._hindsight.tell(message)

    def _unwatch(self, bot_id: BotId) -> None:
        self._watches.pop(bot_id, None)
        self._book.disarm(bot_id)
        self._hush(bot_id)

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
            watch = self._watches[bot_id]
            if not watch.bot.tell(PriceTouched(price_quote=price)) and watch.bot.is_alive:
                # Its inbox is full, and it does not know that it was disarmed: touch it again soon.
                self._book.arm(bot_id, watch.thresholds)
                self.context.start_timer("poll", _Poll(), after_s=POLL_AFTER_S)


class FeedsActor(Actor[FeedMessage]):
    """Finds the feed of a symbol, opening it at the first need."""

    def __init__(self, surroundings: Surroundings, board: FeedBoard, watches: Watches) -> None:
        self._surroundings = surroundings
        self._board = board
        self._watches = watches
        self._feeds: dict[FeedKey, Ref[FeedMessage]] = {}

    async def started(self) -> None:
        """Open the feeds of those who watched before this actor crashed."""
        for key, watches in self._watches.items():
            if watches:
                self._feeds[key] = await self._spawn(key)

    async def receive(self, message: FeedMessage, /) -> None:
        """Pass the message on."""
        feed = self._feeds.get(message.feed)
        if feed is None:
            feed = self._feeds[message.feed] = await self._spawn(message.feed)
        feed.tell(message)

    async def _spawn(self, key: FeedKey) -> Ref[FeedMessage]:
        watches = self._watches.setdefault(key, {})
        return await self.context.spawn(
            ChildSpec(
                name=f"feed:{key.venue}:{key.symbol}",
                start=lambda: MarketFeedActor(self._surroundings, key, watches, self._board),
                restart=Restart.PERMANENT,
                intensity=NEVER_GIVE_UP,
                inbox=FEED_INBOX,
                wait=False,
            )
        )
