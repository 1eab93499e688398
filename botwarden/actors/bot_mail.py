"""What a bot is told: by its feed, its desk, whoever saw its row move on, and by itself."""

from dataclasses import dataclass

from botwarden.actors.desk_mail import DeskFailed, DeskNotice, DeskReady, ListStirred
from botwarden.actors.feed_mail import FeedLost, FeedNotice, FeedRestored, HighMissed, PriceTouched
from botwarden.actors.tending import LookAtList, Tend
from botwarden.runtime import InboxSpec


@dataclass(frozen=True, slots=True)
class Reload:
    """The row may have moved on: read it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """The row was seen at this version."""

    version: int


@dataclass(frozen=True, slots=True)
class Tick:
    """The check interval has passed."""


@dataclass(frozen=True, slots=True)
class Remind:
    """An order is open still: see that somebody asks about it."""


@dataclass(frozen=True, slots=True)
class Rearm:
    """Watch again after a pause."""


@dataclass(frozen=True, slots=True)
class WriteMark:
    """Write the high-water mark."""


OwnWord = Tick | Remind | Rearm | WriteMark | Tend | LookAtList

BotMessage = Reload | Swept | FeedNotice | DeskNotice | OwnWord

_CONFLATED: dict[type, str] = {
    Reload: "reload",
    Swept: "swept",
    PriceTouched: "price",
    HighMissed: "high",
    FeedLost: "feed",
    FeedRestored: "feed",
    DeskReady: "desk",
    DeskFailed: "desk",
    Tick: "tick",
    Remind: "remind",
    Rearm: "rearm",
    WriteMark: "mark",
    Tend: "tend",
    LookAtList: "look",
    ListStirred: "stirred",
}

#: A bot's inbox: of everything that is superseded by its successor only the newest is kept. A signal is
#: not: the HOLD after a SELL does not take it back.
BOT_INBOX: InboxSpec[BotMessage] = InboxSpec(
    capacity=64, newest_per=lambda message: _CONFLATED.get(type(message))
)
