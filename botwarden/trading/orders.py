"""Orders from intent to settlement: the values that pass between machine, database, desk and venue.

An order is *open* while its outcome is unknown to us. It is settled exactly once, by one of the
outcomes below, and then never changes again. Only an order list may rest in between: the venue has it,
and nothing of it has ended.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from botwarden.trading.bot import ZERO, BotId


class Side(StrEnum):
    """What the order does with the base asset."""

    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    """What is asked of the venue."""

    MARKET = "MARKET"
    #: A list of two sales, of which only one can happen: a limit above, a stop below.
    OCO = "OCO"
    #: That a list be taken off the book.
    CANCEL = "CANCEL"


class Reason(StrEnum):
    """Why an order was intended."""

    SIGNAL = "signal"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"
    TRAILING_STOP = "trailing_stop"
    CLOSE_REQUESTED = "close_requested"
    #: Of a list and its cancel; the trade that a list makes has the reason of the leg.
    PROTECTION = "protection"


class OrderStatus(StrEnum):
    """Life of an order in our books: `open` moves once to one of the others, which are final.

    A list may rest before it moves on. What was given up as absent is final unless the venue knows it later.
    """

    OPEN = "open"
    RESTING = "resting"
    FILLED = "filled"
    #: Ended by the venue with part or none of it executed.
    EXPIRED = "expired"
    REJECTED = "rejected"
    NEVER_SENT = "never_sent"
    #: Proven never to have reached the matching engine.
    ABSENT = "absent"
    #: A list that ended with part or none of it executed, and the cancel after which a list had ended.
    CANCELLED = "cancelled"


class OrderIntent(msgspec.Struct, frozen=True, kw_only=True):
    """A wish towards the venue, decided but not yet committed.

    Exactly one of the sizes is set: `quantity_base`, or for a BUY `quantity_quote` (spend at most this);
    of a cancel none.
    """

    #: The bot's own count of its orders, from 1.
    number: int
    side: Side
    reason: Reason
    quantity_base: Decimal | None
    quantity_quote: Decimal | None
    #: The price that the decision looked at; for a list, and a cancel that no price asked for, the entry's.
    decided_price_quote: Decimal
    type: OrderType = OrderType.MARKET
    #: The two prices of a list, in whole ticks.
    take_profit_price: Decimal | None = None
    stop_loss_price: Decimal | None = None
    #: Number of the list that a cancel is about.
    cancels_number: int | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A committed intent as it stands in the database."""

    bot_id: BotId
    number: int
    symbol: str
    side: Side
    reason: Reason
    quantity_base: Decimal | None
    quantity_quote: Decimal | None
    decided_price_quote: Decimal
    client_order_id: str
    #: By the venue's clock, stamped as the committing batch opened (aware, UTC, whole milliseconds).
    intended_at: datetime
    status: OrderStatus = OrderStatus.OPEN
    type: OrderType = OrderType.MARKET
    take_profit_price: Decimal | None = None
    stop_loss_price: Decimal | None = None
    cancels_number: int | None = None


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution that the venue reported."""

    venue_trade_id: int
    price_quote: Decimal
    quantity_base: Decimal
    #: Price times size as the venue booked it.
    quantity_quote: Decimal
    commission: Decimal
    commission_asset: str
    #: What the commission was worth in quote then; for a commission in base or quote derived exactly.
    commission_quote: Decimal
    executed_at: datetime


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """The venue took the order and it is final there, with all, part or none of it filled."""

    venue_order_id: int
    #: FILLED, or EXPIRED when the venue ended it early.
    status: OrderStatus
    #: Oldest first; empty when nothing was executed.
    fills: tuple[Fill, ...]


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """The venue definitely refused the order: by its own code, from the allow-list."""

    code: int
    message: str


class NeverSent(msgspec.Struct, frozen=True, kw_only=True):
    """Not one byte of the request left us, and none will."""

    message: str


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody knows the order, and the venue's own clock says that it can no longer be accepted."""

    message: str = "the venue never received it"


class Unexplained(msgspec.Struct, frozen=True, kw_only=True):
    """Something stands under our client order id that is not our order."""

    message: str


class Resting(msgspec.Struct, frozen=True, kw_only=True):
    """The venue took the list: it stands on the book."""

    venue_list_id: int


class ListEnded(msgspec.Struct, frozen=True, kw_only=True):
    """A list is off the book, whoever took it off: final with all, part or none of it executed.

    The outcome of the list, and also of a cancel of it.
    """

    venue_list_id: int
    #: FILLED, or CANCELLED.
    status: OrderStatus
    #: What each leg sold, oldest first; empty when nothing was executed.
    take_profit: tuple[Fill, ...]
    stop_loss: tuple[Fill, ...]

    @property
    def fills(self) -> tuple[Fill, ...]:
        """What both legs sold."""
        return self.take_profit + self.stop_loss


#: How an open order ends, or comes to rest.
Outcome = Executed | Rejected | NeverSent | Absent | Unexplained | Resting | ListEnded


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One executed order in a bot's books; counters count these."""

    order_number: int
    side: Side
    reason: Reason
    #: Average over the fills.
    price_quote: Decimal
    #: As executed, before a commission that is taken from the coin.
    quantity_base: Decimal
    quantity_quote: Decimal
    #: All commissions, valued in quote.
    fee_quote: Decimal
    #: Quote, fees of entry and exit included; zero for a BUY.
    realised_pnl_quote: Decimal = ZERO
    #: When its last fill happened (aware, UTC); its date is the trade's day.
    executed_at: datetime


def client_order_id(installation_tag: str, bot_id: BotId, number: int) -> str:
    """Return the id under which the venue knows this order; at most 36 characters of [a-z0-9-].

    Source: Binance spot API, newClientOrderId: ^[a-zA-Z0-9-_]{1,36}$.
    """
    return f"bw-{installation_tag}-{_base36(bot_id)}-{_base36(number)}"


def bot_of(client_order_id: str, installation_tag: str) -> BotId | None:
    """Return whose order this is; None if it is none of this installation's."""
    prefix = f"bw-{installation_tag}-"
    if not client_order_id.startswith(prefix):
        return None
    try:
        return BotId(int(client_order_id.removeprefix(prefix).partition("-")[0], 36))
    except ValueError:
        return None


def take_profit_id(list_id: str) -> str:
    """Return the client order id of a list's upper leg; a number never ends like this."""
    return f"{list_id}-t"


def stop_loss_id(list_id: str) -> str:
    """Return the client order id of a list's lower leg."""
    return f"{list_id}-s"


def names_list(leg_id: str) -> str:
    """Return the id of the list whose leg this is; of any other order its own."""
    return leg_id[:-2] if leg_id.endswith(("-t", "-s")) else leg_id


def _base36(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = digits[digit] + text
        if number == 0:
            return text
