"""What bots and the feeds of their symbols tell each other."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from botwarden.actors.signals import SignalKey
from botwarden.persistence.replica_view import FeedView
from botwarden.runtime import Ref
from botwarden.trading.bot import BotConfig, BotId, Venue
from botwarden.trading.guard import Thresholds
from botwarden.trading.machine import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedKey:
    """Which feed is meant."""

    venue: Venue
    symbol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a strategy speaks about; what it said of another says nothing of this one."""

    feed: FeedKey
    key: SignalKey

    @staticmethod
    def of(config: BotConfig) -> "Subject":
        """Return what the bot's strategy speaks about."""
        return Subject(feed=FeedKey(venue=config.venue, symbol=config.symbol), key=SignalKey.of(config))


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
    subject: Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyFailed:
    """The bot's strategy cannot compute; it is not heard any more until the bot asks for it again."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLost:
    """No prices come at the moment, and why."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRestored:
    """Prices come (again)."""

    price_quote: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class HighMissed:
    """The market was so high at its highest since the bot's row was last written, as far as is known now."""

    feed: FeedKey
    price_quote: Decimal


#: What a feed tells a bot.
FeedNotice = PriceTouched | SignalGiven | StrategyFailed | FeedLost | FeedRestored | HighMissed


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
class LookBack:
    """The bot was just taken up: tell it how high the market went while nobody watched its position."""

    feed: FeedKey
    bot_id: BotId
    bot: Ref[FeedNotice]
    #: When its row was last written, by the database's clock.
    written_at: datetime


#: What the feeds are told.
FeedMessage = Watch | Unwatch | LookBack

#: Who watches what. Outlives the feeds, so that those that are restarted watch for the same bots.
Watches = dict[FeedKey, dict[BotId, Watch]]

#: How each feed stands: written by the feeds alone, read by whoever reports it.
FeedBoard = dict[FeedKey, FeedView]
