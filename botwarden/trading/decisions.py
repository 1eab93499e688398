"""What goes into the machine and what comes out: the inputs, and the decision that follows.

An input carries facts and the time they were met at; a decision carries everything that has to be
committed together. Neither has behaviour.
"""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from botwarden.trading.bot import BotState, Cause
from botwarden.trading.orders import Executed, ListEnded, Order, OrderIntent, Outcome, Resting, Trade


class Signal(StrEnum):
    """What a strategy says about the newest closed candle."""

    BUY = "buy"
    SELL = "sell"
    HOLD = "hold"


class StartRequested(msgspec.Struct, frozen=True, kw_only=True):
    """The owner wants the bot to run."""

    at: datetime


class StopRequested(msgspec.Struct, frozen=True, kw_only=True):
    """The owner wants the bot to stop; a position is kept."""

    at: datetime


class CloseRequested(msgspec.Struct, frozen=True, kw_only=True):
    """The owner wants the position sold at market and the bot stopped."""

    at: datetime


class StatePut(msgspec.Struct, frozen=True, kw_only=True):
    """The owner writes fields of the state; only the given ones change."""

    changes: dict[str, Any]
    at: datetime


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """The holder has taken the bot up: its surroundings (keys, feed) are in order."""

    at: datetime


class Evaluated(msgspec.Struct, frozen=True, kw_only=True):
    """The strategy has spoken; `signal` is HOLD when no new candle has closed since it last spoke."""

    signal: Signal
    price_quote: Decimal
    at: datetime


class PriceMoved(msgspec.Struct, frozen=True, kw_only=True):
    """The market traded at this price: the guard looks, and a close request is carried out.

    `free_base` bounds a sale by what the account has free, once the venue said that it has less.
    """

    price_quote: Decimal
    at: datetime
    free_base: Decimal | None = None


class OutcomeArrived(msgspec.Struct, frozen=True, kw_only=True):
    """How the open order ended, or the resting list."""

    order: Order
    outcome: Outcome
    at: datetime


class LateFound(msgspec.Struct, frozen=True, kw_only=True):
    """An order that was given up as absent turned up at the venue."""

    #: As it stands in our books: absent, or ended with nothing executed.
    order: Order
    outcome: Executed | ListEnded | Resting
    #: It was placed for another symbol or account than the bot's present one.
    elsewhere: bool
    at: datetime


class ProtectionDue(msgspec.Struct, frozen=True, kw_only=True):
    """Time to see whether the protective list stands as it should: placed, changed or taken off."""

    at: datetime
    #: The list that rests; present exactly when the state names one.
    resting: Order | None
    #: The last price, if one is known.
    price_quote: Decimal | None


class DayTurned(msgspec.Struct, frozen=True, kw_only=True):
    """A UTC day began; the figures are what the trades of that day say (normally zero)."""

    day: date
    daily_pnl: Decimal
    daily_trades_count: int
    #: The setting BOTWARDEN_RESET_REACTIVATES=all: also what owners stopped starts again.
    reactivate_all: bool
    at: datetime


class Disturbed(msgspec.Struct, frozen=True, kw_only=True):
    """Something the bot needs is away: keys, client or prices. Not a crash; it passes."""

    status: str
    message: str
    at: datetime


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """The cause of `status` is gone."""

    status: str
    at: datetime


class Crashed(msgspec.Struct, frozen=True, kw_only=True):
    """The bot's actor failed too often: guard only, until its owner starts it or the day turns."""

    message: str
    at: datetime


Input = (
    StartRequested
    | StopRequested
    | CloseRequested
    | StatePut
    | Adopted
    | Evaluated
    | PriceMoved
    | OutcomeArrived
    | LateFound
    | ProtectionDue
    | DayTurned
    | Disturbed
    | Recovered
    | Crashed
)


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from an input: commit it all together, then act."""

    #: The next state; equal to the given one when nothing changes. Its version is not raised here.
    state: BotState
    cause: Cause
    #: What happened, as the audit trail names it: `bot.started`, `order.intended`, ...
    kind: str
    #: Present when an order shall be placed; `state.open_order_number` is then its number.
    intent: OrderIntent | None = None
    #: Present when a settled order executed anything.
    trade: Trade | None = None
    #: One sentence for the audit trail.
    message: str | None = None
