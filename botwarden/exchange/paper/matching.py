"""What an order takes from the book, what it costs, and what the venue keeps of it.

Pure, and in whole units. The invariant: nobody gets more than the order asks for or the book has.
"""

from collections.abc import Iterable
from typing import NamedTuple

from botwarden.exchange.paper.amounts import UNIT, cost, floor_to
from botwarden.exchange.paper.book import Book, Level

#: One tenth of a per cent of what is received.
COMMISSION_BPS = 10


class Take(NamedTuple):
    """One fill."""

    price: int
    quantity: int

    @property
    def quote(self) -> int:
        """What it costs or yields."""
        return cost(self.price, self.quantity)


def take(levels: Iterable[Level], quantity: int) -> list[Take]:
    """Return the fills of a size in base; less than asked for when the book is thin."""
    takes = []
    for level in levels:
        if quantity <= 0:
            break
        taken = min(quantity, level.quantity)
        takes.append(Take(level.price, taken))
        quantity -= taken
    return takes


def take_quote(levels: Iterable[Level], quote: int, step: int) -> tuple[list[Take], bool]:
    """Return the fills of a size in quote, in whole steps, and whether the book had enough."""
    takes = []
    for level in levels:
        affordable = floor_to(quote * UNIT // level.price, step)
        taken = min(affordable, level.quantity)
        if taken:
            takes.append(Take(level.price, taken))
            quote -= cost(level.price, taken)
        if affordable <= level.quantity:
            return takes, True
    return takes, False


def within(levels: Iterable[Level], *, limit: int, is_buy: bool) -> Iterable[Level]:
    """Yield the levels that a limit price allows."""
    for level in levels:
        if (level.price > limit) if is_buy else (level.price < limit):
            return
        yield level


def from_book(
    book: Book, *, is_buy: bool, limit: int, quantity: int, quote: int = 0
) -> tuple[list[Take], bool]:
    """Return what an order takes now, and whether that is all it asks for. A limit of zero is none."""
    levels: Iterable[Level] = book.asks() if is_buy else book.bids()
    if quote:
        return take_quote(levels, quote, book.instrument.step)
    if limit:
        levels = within(levels, limit=limit, is_buy=is_buy)
    takes = take(levels, quantity)
    return takes, sum(fill.quantity for fill in takes) == quantity


def paid_by(takes: Iterable[Take], quote: int, step: int) -> list[Take]:
    """Return as much of these purchases, from the first on, as so much quote pays for."""
    paid = []
    for fill in takes:
        quantity = min(fill.quantity, floor_to(quote * UNIT // fill.price, step))
        if quantity:
            paid.append(Take(fill.price, quantity))
        if quantity < fill.quantity:
            break
        quote -= fill.quote
    return paid


def commission(received: int, bps: int = COMMISSION_BPS) -> int:
    """Return what the venue keeps of what is received, truncated to units."""
    return received * bps // 10_000


def crosses(*, is_buy: bool, limit: int, price: int) -> bool:
    """Whether a trade at this price fills a resting order."""
    return price <= limit if is_buy else price >= limit
