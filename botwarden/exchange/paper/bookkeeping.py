"""What an order does to its account's money: set aside, give back, pay and receive.

Pure but for the account and the order. The invariant: an open order's `locked` is in the account's `locked`,
and nothing that is set aside is spent twice.
"""

from botwarden.exchange.paper.accounts import Account
from botwarden.exchange.paper.amounts import cost
from botwarden.exchange.paper.instruments import split_symbol
from botwarden.exchange.paper.matching import Take
from botwarden.exchange.paper.records import OrderRecord


def paid_with(order: OrderRecord) -> str:
    """Return the asset that it gives away."""
    base, quote = split_symbol(order.symbol)
    return quote if order.is_buy else base


def need(order: OrderRecord) -> int:
    """Return what its rest sets aside: a purchase at its limit or, without one, at its stop price."""
    return cost(order.price or order.stop_price, order.rest) if order.is_buy else order.rest


def set_aside(account: Account, order: OrderRecord) -> None:
    """Lock what its rest needs."""
    change = need(order) - order.locked
    account.lock(paid_with(order), change)
    order.locked += change


def release(account: Account, order: OrderRecord) -> None:
    """Give back what it has set aside."""
    account.unlock(paid_with(order), order.locked)
    order.locked = 0


def exchange(account: Account, order: OrderRecord, fill: Take) -> None:
    """Pay for a fill, from what is set aside as far as it goes, and receive what it brings."""
    base, quote = split_symbol(order.symbol)
    gave, got = (fill.quote, fill.quantity) if order.is_buy else (fill.quantity, fill.quote)
    from_locked = min(order.locked, gave)
    account.unlock(paid_with(order), from_locked)
    order.locked -= from_locked
    account.holding(paid_with(order)).free -= gave
    account.holding(base if order.is_buy else quote).free += got
    order.executed += fill.quantity
    order.executed_quote += fill.quote
