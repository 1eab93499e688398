"""How high a symbol went while the bots that hold it were not awake.

    feed ──LookBack──▶ hindsight ◀──closed minutes── venue
    bot ◀──HighMissed──────┘

A bot is told at once what the closed minutes say, and once more when the minute in which it was taken up
has closed. The invariant: whoever is taken up within the same minute shares one question. Nothing depends
on an answer: where none comes within ten minutes, or the market has a time of its own (it is replayed or
sped up, so its candles cannot be held against our writes), nothing is told. The venue gives a thousand
minutes; what was missed before those stays unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from botwarden.actors.feed_mail import FeedKey, HighMissed, LookBack
from botwarden.errors import Missing, Unavailable
from botwarden.exchange.port import Market
from botwarden.runtime import Actor, InboxSpec
from botwarden.trading.bot import BotId
from botwarden.trading.candles import Candle
from botwarden.trading.hindsight import keeps_time, missed_high

INTERVAL = "1m"
MINUTE_S = 60.0

#: The most candles that a venue gives in one answer. Source: Binance spot API, klines, limit.
MOST_CANDLES = 1000

#: A venue shows a closed minute so long after its end; symbols are spread over the time after that.
SHOWN_AFTER_S = 2.0
SPREAD_S = 8.0

#: After the first failure in a row; doubled with each further one.
RETRY_AFTER_S = 2.0
LONGEST_RETRY_S = 60.0

GIVEN_UP_AFTER = timedelta(minutes=10)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Look:
    """Ask the venue for what has closed meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What the venue has said."""

    candles: Sequence[Candle]
    #: By the venue's clock.
    at: datetime
    #: How much our clock is behind the venue's.
    slow: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sleeper:
    """A bot that was not awake, and until when."""

    asked: LookBack
    #: By the venue's clock.
    until: datetime


HINDSIGHT_INBOX: InboxSpec[LookBack | _Look] = InboxSpec(capacity=100_000)


class HindsightActor(Actor[LookBack | _Look]):
    """The closed minutes of one symbol, for those who missed them."""

    def __init__(self, market: Market, feed: FeedKey) -> None:
        self._market = market
        self._feed = feed
        self._sleepers: dict[BotId, _Sleeper] = {}
        self._answer: _Answer | None = None
        self._retry_s = RETRY_AFTER_S
        self._is_away = False

    async def receive(self, message: LookBack | _Look, /) -> None:
        """Serve one bot with what is known of this minute; ask for all of them when it is known no more."""
        if isinstance(message, LookBack):
            now = self._market.clock.now()
            sleeper = self._sleepers[message.bot_id] = _Sleeper(asked=message, until=now)
            if self._answer is not None and _minute(self._answer.at) == _minute(now):
                self._tell(sleeper, self._answer)
            elif not self._is_away:
                await self._look()
        else:
            await self._look()

    async def _look(self) -> None:
        try:
            candles = await self._market.candles(self._feed.symbol, INTERVAL, limit=MOST_CANDLES)
            # Asked after the candles: what has closed by the venue's clock is not ahead of it.
            at = await self._market.clock.ask()
        except (Unavailable, Missing) as unavailable:
            self._retry_later(str(unavailable))
            return
        self._is_away = False
        self._retry_s = RETRY_AFTER_S
        self._answer = _Answer(candles=candles, at=at, slow=at - self.context.clock.now())
        for sleeper in list(self._sleepers.values()):
            self._tell(sleeper, self._answer)
        self._look_after_the_minute(at)

    def _tell(self, sleeper: _Sleeper, answer: _Answer) -> None:
        """Tell what is known; who was awake when the newest candle closed waits for no other."""
        asked, candles = sleeper.asked, answer.candles
        if not keeps_time(candles, answer.at):
            del self._sleepers[asked.bot_id]
            return
        high = missed_high(candles, written_at=asked.written_at, slow=answer.slow)
        if high is not None:
            asked.bot.tell(HighMissed(feed=self._feed, price_quote=high))
        if candles[-1].closed_at >= sleeper.until:
            del self._sleepers[asked.bot_id]

    def _look_after_the_minute(self, now: datetime) -> None:
        self._give_up(now)
        if self._sleepers:
            left_s = MINUTE_S - now.timestamp() % MINUTE_S
            pause_s = SHOWN_AFTER_S + SPREAD_S * self.context.random.random()
            self.context.start_timer("look", _Look(), after_s=left_s + pause_s)

    def _retry_later(self, why: str) -> None:
        if not self._is_away:
            log.warning("hindsight.unavailable", symbol=self._feed.symbol, why=why)
        self._is_away = True
        self._give_up(self._market.clock.now())
        if not self._sleepers:
            self._is_away = False
            return
        self.context.start_timer("look", _Look(), after_s=self._retry_s)
        self._retry_s = min(self._retry_s * 2, LONGEST_RETRY_S)

    def _give_up(self, now: datetime) -> None:
        for bot_id, sleeper in list(self._sleepers.items()):
            if now - sleeper.until > GIVEN_UP_AFTER:
                del self._sleepers[bot_id]


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
