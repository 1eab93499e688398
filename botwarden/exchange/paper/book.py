"""The synthetic order book around a price.

Pure: the book is a function of the price and a sequence number. It does not remember what was taken from
it; the next price brings a new one.
"""

from collections.abc import Iterator
from typing import NamedTuple

from botwarden.exchange.paper.amounts import UNIT, floor_to
from botwarden.exchange.paper.instruments import PaperInstrument

LEVELS = 100


class Level(NamedTuple):
    """A price and what can be had there, in units."""

    price: int
    quantity: int


class Book(NamedTuple):
    """What can be bought and sold now."""

    instrument: PaperInstrument
    price: int
    sequence: int

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
        for rank in range(LEVELS):
            price = self.best_ask + rank * self._spacing
            yield Level(price, self._quantity(rank, price, 1))

    def bids(self) -> Iterator[Level]:
        """Yield what can be sold, the dearest first."""
        for rank in range(LEVELS):
            price = self.best_bid - rank * self._spacing
            if price < self.instrument.tick:
                return
            yield Level(price, self._quantity(rank, price, 2))

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
        return max(self.instrument.step, floor_to(quote * UNIT // price, self.instrument.step))


def _jitter(sequence: int, rank: int, side: int) -> int:
    mixed = (sequence * 2_654_435_761 + rank * 40_503 + side * 97) & 0xFFFF_FFFF
    mixed ^= mixed >> 15
    return (mixed * 2_246_822_519 & 0xFFFF_FFFF) >> 13
