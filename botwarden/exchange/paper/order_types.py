"""The types of orders: what each is sized and priced by, and when one that waits is triggered. Pure.

Source: Binance spot API, new order, and enums.
"""

#: These wait for a price before they work, and then work as the type beside them.
WORKS_AS = {
    "STOP_LOSS": "MARKET",
    "STOP_LOSS_LIMIT": "LIMIT",
    "TAKE_PROFIT": "MARKET",
    "TAKE_PROFIT_LIMIT": "LIMIT",
}

#: These have a limit price.
LIMITED = frozenset({"LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})

#: These say how long they stay in force.
TIMED = LIMITED - {"LIMIT_MAKER"}

TIMES_IN_FORCE = frozenset({"GTC", "IOC", "FOK"})

ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", *WORKS_AS]


def waits_for_rise(kind: str, *, is_buy: bool) -> bool:
    """Whether it is triggered from below: a stop guards against the price, a profit waits for it."""
    return is_buy == kind.startswith("STOP_LOSS")


def is_triggered(kind: str, *, is_buy: bool, stop: int, price: int) -> bool:
    """Whether a trade at this price triggers an order that waits."""
    return price >= stop if waits_for_rise(kind, is_buy=is_buy) else price <= stop
