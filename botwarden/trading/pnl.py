"""What a position cost, what a sale realised, and what a position is worth.

The books are exact: what was realised, less the cost of what is still held, is the change of cash, to
the last digit. A commission is counted once: in quote where it was paid in quote or another asset, as
missing coins where it was taken from the coin itself.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from botwarden.trading.bot import ZERO, BotState
from botwarden.trading.money import BOOKS, share_of, total
from botwarden.trading.orders import Fill


class Executions(msgspec.Struct, frozen=True, kw_only=True):
    """The fills of one order, added up."""

    quantity_base: Decimal
    quantity_quote: Decimal
    #: Commission that was taken from the traded coin.
    fee_base: Decimal
    #: The same, valued in quote.
    fee_base_in_quote: Decimal
    #: Every other commission, valued in quote.
    fee_quote: Decimal
    #: When the last of them happened.
    executed_at: datetime


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """Coins and what they cost in quote."""

    size_base: Decimal
    cost_quote: Decimal


def add_up(fills: Sequence[Fill], *, is_base: Callable[[str], bool]) -> Executions:
    """Return the sums over fills (not empty); `is_base` tells the traded coin by its name."""
    in_base = [fill for fill in fills if is_base(fill.commission_asset)]
    elsewhere = [fill for fill in fills if not is_base(fill.commission_asset)]
    return Executions(
        quantity_base=total(fill.quantity_base for fill in fills),
        quantity_quote=total(fill.quantity_quote for fill in fills),
        fee_base=total(fill.commission for fill in in_base),
        fee_base_in_quote=total(fill.commission_quote for fill in in_base),
        fee_quote=total(fill.commission_quote for fill in elsewhere),
        executed_at=max(fill.executed_at for fill in fills),
    )


def after_buying(state: BotState, bought: Executions) -> Holding:
    """Return what is held and what it cost after a purchase, together with what was held before."""
    coins = BOOKS.subtract(bought.quantity_base, bought.fee_base)
    paid = BOOKS.add(bought.quantity_quote, bought.fee_quote)
    return Holding(
        size_base=BOOKS.add(state.current_position_size_coins, coins),
        cost_quote=BOOKS.add(state.position_cost_quote, paid),
    )


def after_selling(state: BotState, sold: Executions) -> tuple[Holding, Decimal]:
    """Return what is left after a sale, and what it realised in quote, fees of entry and exit included.

    A commission taken from the coin is paid with coins of the position while there are any; the rest of
    it is charged by its value. Of a sale of more than is held (one that was found late) only the share
    that was held realises anything, and bears its fees: the other coins were never in these books.
    """
    held = state.current_position_size_coins
    gone = BOOKS.add(sold.quantity_base, sold.fee_base)
    uncovered = max(BOOKS.subtract(gone, held), ZERO)
    charged = share_of(sold.fee_base_in_quote, uncovered, sold.fee_base) if sold.fee_base > 0 else ZERO
    released = share_of(state.position_cost_quote, gone, held)
    net = BOOKS.subtract(sold.quantity_quote, total([sold.fee_quote, charged]))
    left = Holding(
        size_base=max(BOOKS.subtract(held, gone), ZERO),
        cost_quote=BOOKS.subtract(state.position_cost_quote, released),
    )
    return left, BOOKS.subtract(share_of(net, held, sold.quantity_base), released)


def unrealised(state: BotState, price_quote: Decimal) -> Decimal:
    """Return what selling the whole position at this price would realise, before that sale's fees."""
    if not state.in_position:
        return ZERO
    worth = BOOKS.multiply(state.current_position_size_coins, price_quote)
    return BOOKS.subtract(worth, state.position_cost_quote)
