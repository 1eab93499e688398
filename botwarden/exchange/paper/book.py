"""The synthetic order book around a price.

Pure: the book is a function of the price, a sequence number, and what was taken from it since. The next
price brings a new one.
"""

from collections.abc import Iterator
from typing import NamedTuple

from botwarden.exchange.paper.amounts import UNIT, floor_to
from botwarden.exchange.paper.instruments import PaperInstrument

LEVELS = 100

#: How much there is on a book, of the usual hundred.
USUAL_LIQUIDITY = 100


class Level(NamedTuple):
    """A price and what can be had there, in units."""

    price: int
    quantity: int


class Book(NamedTuple):
    """What can be bought and sold now."""

    instrument: PaperInstrument
    price: int
    sequence: int
    #: How much there is, of the usual hundred; nothing at zero.
    liquidity: int = USUAL_LIQUIDITY
    #: What was bought of the asks, and sold to the bids, since the price.
    bought: int = 0
    sold: int = 0
    #: Grows with each change.
    update_id: int = 0

    @property
    def best_ask(self) -> int:
        """The lowest price at which one can buy."""
        return self.price + (self._spread if self._last_was_bid else 0)

    @property
    def best_bid(self) -> int:
        """The highest price at which one can sell."""
        return max(self.instrument.tick, self.price - (0 if self._last_was_bid else self._spread))

    def asks(self) -> Iterator[Level]:
        """Yield what can be bought, the cheapest first."""
        return self._left(self._all(self.best_ask, self._spacing, 1), self.bought)

    def bids(self) -> Iterator[Level]:
        """Yield what can be sold, the dearest first."""
        return self._left(self._all(self.best_bid, -self._spacing, 2), self.sold)

    def _all(self, best: int, spacing: int, side: int) -> Iterator[Level]:
        for rank in range(LEVELS if self.liquidity else 0):
            price = best + rank * spacing
            if price < self.instrument.tick:
                return
            yield Level(price, self._quantity(rank, price, side))

    @staticmethod
    def _left(levels: Iterator[Level], taken: int) -> Iterator[Level]:
        """Yield what is left when so much was taken from the best levels."""
        for level in levels:
            if taken < level.quantity:
                yield Level(level.price, level.quantity - taken)
            taken = max(0, taken - level.quantity)

    @property
    def _last_was_bid(self) -> bool:
        return _jitter(self.sequence, 0, 0) % 2 == 0

    @property
    def _spread(self) -> int:
        return max(self.instrument.tick, floor_to(self.price // 25_000, self.instrument.tick))

    @property
    def _spacing(self) -> int:
        return max(self.instrument.tick, floor_to(self.price // 12_500, self.instrument.tick))

    def _quantity(self, rank: int, price: int, side: int) -> int:
        """Return a level's size: about three thousandths of a minute's turnover, growing outwards."""
        fair = max(1000, self.instrument.daily_quote // 1440 // 300) * UNIT
        quote = fair * (100 + 15 * rank) // 100 * (50 + _jitter(self.sequence, rank, side) % 100) // 100
        quote = quote * self.liquidity // USUAL_LIQUIDITY
        return max(self.instrument.step, floor_to(quote * UNIT // price, self.instrument.step))


def best_of(levels: Iterator[Level]) -> Level:
    """Return the first level; one of zeros when there is none."""
    return next(levels, Level(0, 0))


def _jitter(sequence: int, rank: int, side: int) -> int:
    mixed = (sequence * 2_654_435_761 + rank * 40_503 + side * 97) & 0xFFFF_FFFF
    mixed ^= mixed >> 15
    return (mixed * 2_246_822_519 & 0xFFFF_FFFF) >> 13
