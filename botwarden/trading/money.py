"""Rounding and exact sums of money.

Every rounding here names its direction, and sums of booked amounts lose no digit: they are made in a
context that is wider than any amount the venues or owners may bring.
"""

from collections.abc import Iterable
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

from botwarden.trading.bot import ZERO

#: Sums and products of booked amounts are exact in this many digits.
BOOKS = Context(prec=60, rounding=ROUND_HALF_EVEN)

#: Shares of a cost are cut here; what is left is the exact rest, so nothing is lost.
_SHARE_STEP = Decimal("1E-12")

#: What every reader of JSON numbers keeps.
_AVERAGE = Context(prec=16, rounding=ROUND_HALF_EVEN)

_PER_CENT = Decimal("0.01")


def floor_to_step(amount: Decimal, step: Decimal) -> Decimal:
    """Return the largest whole multiple of `step` that is not above `amount`; without a step, `amount`.

    `amount` is not negative.

    Source: Binance spot API, filters LOT_SIZE and PRICE_FILTER.
    """
    if step <= 0:
        return amount
    return BOOKS.multiply(BOOKS.divide_int(amount, step), step)


def ceil_to_step(amount: Decimal, step: Decimal) -> Decimal:
    """Return the smallest whole multiple of `step` that is not below `amount`, which is not negative."""
    floor = floor_to_step(amount, step)
    return floor if floor == amount else BOOKS.add(floor, step)


def floor_to_places(amount: Decimal, places: int) -> Decimal:
    """Return `amount` cut to so many decimals, never above it."""
    return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_FLOOR, context=BOOKS)


def percent_of(amount: Decimal, percent: Decimal) -> Decimal:
    """Return so many percent of `amount`, exactly."""
    return BOOKS.multiply(BOOKS.multiply(amount, percent), _PER_CENT)


def share_of(total: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return the share of `total` that falls to `part` of `whole`, in whole units of 1E-12.

    All of it when `part` is the whole or more, so that the last share takes exactly what is left.
    """
    if part >= whole:
        return total
    return BOOKS.divide(BOOKS.multiply(total, part), whole).quantize(_SHARE_STEP, context=BOOKS)


def average_price(quote: Decimal, base: Decimal) -> Decimal:
    """Return the price paid on average, in 16 significant digits. For show and thresholds, not for books."""
    return _AVERAGE.divide(quote, base)


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Return the exact sum."""
    result = ZERO
    for amount in amounts:
        result = BOOKS.add(result, amount)
    return result
