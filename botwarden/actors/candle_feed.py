"""What strategies say about one symbol and interval, beside the prices.

    feed ──Listen/Hush──▶ candle feed ◀──candles── venue
    bot ◀──SignalGiven/StrategyFailed──┘

The invariant: whatever is slow or broken here (a history that does not come, a strategy that crashes)
delays or ends the signals of those who asked for it, and nothing else. A closed candle is computed once
for all bots with the same strategy and parameters.
"""

from dataclasses import dataclass

import structlog

from botwarden.actors.feed_mail import FeedKey, FeedNotice, SignalGiven, StrategyFailed, Subject
from botwarden.actors.signals import SignalKey, SignalSeries, Spoken, StrategyCrashedError
from botwarden.errors import Missing, Unavailable
from botwarden.exchange.port import Market, StreamRestored
from botwarden.runtime import Actor, InboxSpec, Ref
from botwarden.trading.bot import BotId
from botwarden.trading.candles import Candle

log = structlog.get_logger()

#: After the first failure in a row; doubled with each further one.
RETRY_AFTER_S = 2.0
LONGEST_RETRY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Tell this bot what this strategy says about each closed candle."""

    bot_id: BotId
    bot: Ref[FeedNotice]
    key: SignalKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Hush:
    """The bot listens no longer."""

    bot_id: BotId


@dataclass(frozen=True, slots=True, kw_only=True)
class _Closed:
    """A candle has closed."""

    candle: Candle


@dataclass(frozen=True, slots=True)
class _CatchUp:
    """Read what was missed, and warm up who waits for it."""


CandleMessage = Listen | Hush


def _conflated(message: CandleMessage | _Closed | _CatchUp) -> str | None:
    return "catch-up" if isinstance(message, _CatchUp) else None


#: A candle feed's inbox: every candle is kept.
CANDLE_INBOX = InboxSpec(capacity=100_000, newest_per=_conflated)


class CandleFeedActor(Actor[CandleMessage | _Closed | _CatchUp]):
    """The closed candles of one symbol and interval, and who listens to what is said about them."""

    def __init__(self, market: Market, feed: FeedKey, interval: str, listeners: dict[BotId, Listen]) -> None:
        self._market = market
        self._feed = feed
        self._interval = interval
        #: Outlives this object, so that a restarted candle feed speaks to the same bots.
        self._listeners = listeners
        self._series = SignalSeries(market, feed.symbol, interval)
        self._retry_s = RETRY_AFTER_S
        self._is_away = False

    async def started(self) -> None:
        """Listen to the market, and warm up for those who listened to a former one."""
        self.context.start_duty("candles", self._read)
        self.context.ref.tell(_CatchUp())

    async def receive(self, message: CandleMessage | _Closed | _CatchUp, /) -> None:
        """Hear a candle, or who wants to hear of them."""
        match message:
            case Listen():
                self._listeners[message.bot_id] = message
                if not self._series.hears(message.bot_id, message.key):
                    self._series.drop(message.bot_id)
                # While no history comes, catching up will take in everybody who waits.
                if not self._is_away:
                    await self._patiently(message)
            case Hush(bot_id=bot_id):
                self._listeners.pop(bot_id, None)
                self._series.drop(bot_id)
            case _:
                await self._patiently(message)

    async def _read(self) -> None:
        async for event in self._market.stream(self._feed.symbol, (self._interval,)):
            if isinstance(event, Candle):
                self.context.ref.tell(_Closed(candle=event))
            elif isinstance(event, StreamRestored):
                self.context.ref.tell(_CatchUp())

    async def _patiently(self, message: Listen | _Closed | _CatchUp) -> None:
        """Do what is asked for; where the venue does not answer, catch up later."""
        try:
            match message:
                case Listen():
                    await self._take_in(message)
                case _Closed(candle=candle):
                    self._give(candle, await self._series.advance(candle))
                case _CatchUp():
                    await self._catch_up()
        except (Unavailable, Missing) as unavailable:
            self._retry_later(str(unavailable))

    async def _catch_up(self) -> None:
        for listener in list(self._listeners.values()):
            if not self._series.hears(listener.bot_id, listener.key):
                await self._take_in(listener)
        candle, spoken = await self._series.catch_up()
        if candle is not None:
            self._give(candle, spoken)
        self._is_away = False
        self._retry_s = RETRY_AFTER_S

    async def _take_in(self, listener: Listen) -> None:
        try:
            await self._series.add(listener.bot_id, listener.key)
        except StrategyCrashedError as crashed:
            self._fail(listener.bot_id, str(crashed))

    def _give(self, candle: Candle, spoken: Spoken) -> None:
        for bot_id, signal in spoken.signals:
            listener = self._listeners[bot_id]
            subject = Subject(feed=self._feed, key=listener.key)
            listener.bot.tell(SignalGiven(signal=signal, price_quote=candle.close, subject=subject))
        for bot_id, message in spoken.failures:
            self._fail(bot_id, message)

    def _fail(self, bot_id: BotId, message: str) -> None:
        """Speak to the bot no more until it asks again."""
        self._listeners.pop(bot_id).bot.tell(StrategyFailed(message=message))

    def _retry_later(self, why: str) -> None:
        if not self._is_away:
            log.warning("candles.unavailable", symbol=self._feed.symbol, interval=self._interval, why=why)
        self._is_away = True
        self.context.start_timer("retry", _CatchUp(), after_s=self._retry_s)
        self._retry_s = min(self._retry_s * 2, LONGEST_RETRY_S)
