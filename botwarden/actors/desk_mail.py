"""What bots and the desks of their keys tell each other."""

from dataclasses import dataclass
from decimal import Decimal

from botwarden.actors.order import OrderSettled
from botwarden.runtime import Ref
from botwarden.trading.bot import ApiKeyId, BotId, Status, Venue
from botwarden.trading.orders import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskReady:
    """Orders of this key can be placed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskFailed:
    """Orders of this key cannot be placed now, and why."""

    status: Status
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeBalance:
    """What the account has free of the bot's coin."""

    free_base: Decimal


@dataclass(frozen=True, slots=True)
class ListStirred:
    """Something has become of the bot's list, if it has one."""


#: What a desk tells a bot.
DeskNotice = DeskReady | DeskFailed | FreeBalance | ListStirred | OrderSettled


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskKey:
    """Which desk is meant."""

    venue: Venue
    api_key_id: ApiKeyId


@dataclass(frozen=True, slots=True, kw_only=True)
class Enroll:
    """Tell this bot now, and whenever it changes, whether the desk can place orders."""

    desk: DeskKey
    bot_id: BotId
    bot: Ref[DeskNotice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """The bot needs no desk any more."""

    desk: DeskKey
    bot_id: BotId


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Place this order, which was committed a moment ago by this process and handed to nobody yet."""

    desk: DeskKey
    order: Order
    bot: Ref[DeskNotice]
    #: What a cancel is about.
    listed: Order | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """Find out what became of this order; it may have been sent."""

    desk: DeskKey
    order: Order
    bot: Ref[DeskNotice]
    #: What a cancel is about.
    listed: Order | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """See whether this list still rests, and tell the bot if not."""

    desk: DeskKey
    order: Order
    bot: Ref[DeskNotice]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUpFree:
    """Tell the bot how much of the asset the account has free."""

    desk: DeskKey
    asset: str
    bot: Ref[DeskNotice]


#: What the desks are told.
DeskMessage = Enroll | Leave | Send | Resolve | Look | LookUpFree

#: Who trades with which key. Outlives the desks, so that those that are opened again tell the same bots.
Enrolled = dict[DeskKey, dict[BotId, Ref[DeskNotice]]]
