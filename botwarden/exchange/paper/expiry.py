"""How the venue ends an order of its own accord, and how far from the last price one may take. Pure.

Source: Binance spot API, order status, expiry reasons, and execution rules (PRICE_RANGE); FAQ "self-trade
prevention".
"""

from typing import Literal, NamedTuple

from botwarden.exchange.paper.amounts import UNIT
from botwarden.exchange.paper.matching import Take

#: price_range: the order would have taken too far from the price; own_order: it would have met one of the
#: same account; exchange: the venue has ended it.
Cause = Literal["price_range", "own_order", "exchange"]


class Expiry(NamedTuple):
    """How an order ends."""

    status: str = "EXPIRED"
    reason: str = ""


EXPIRIES: dict[Cause, Expiry] = {
    "price_range": Expiry(reason="EXECUTION_RULE_PRICE_RANGE_EXCEEDED"),
    "own_order": Expiry("EXPIRED_IN_MATCH"),
    "exchange": Expiry(reason="EXCHANGE_CANCELED"),
}


class Reach(NamedTuple):
    """How far from the last price orders may take, and what ends those that would go further."""

    #: A share of the price, in units; by default as far as the book goes.
    share: int = UNIT
    beyond: Cause = "price_range"

    def cut(self, takes: list[Take], price: int) -> tuple[list[Take], Expiry | None]:
        """Return what an order may take of this, and how it ends if that is not all."""
        within = [fill for fill in takes if abs(fill.price - price) * UNIT <= self.share * price]
        return within, None if len(within) == len(takes) else EXPIRIES[self.beyond]
