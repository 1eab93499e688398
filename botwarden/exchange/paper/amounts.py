"""Money as whole numbers of 1e-8 units, and the decimal texts that travel.

The invariant: an amount is an `int`; no float ever touches one.
"""

import re

UNIT = 100_000_000
DECIMALS = 8

#: What a decimal parameter may look like.
LEGAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
_LEGAL = re.compile(LEGAL)


class NotDecimal(ValueError):  # noqa: N818 - reads as an answer, like the families in botwarden.errors
    """The text is not a plain decimal number."""


class TooPrecise(ValueError):  # noqa: N818 - reads as an answer, like the families in botwarden.errors
    """The number has more decimals than an amount."""


def units(text: str, decimals: int = DECIMALS) -> int:
    """Return a plain decimal text as units.

    Raises:
        NotDecimal: signs, exponents, spaces or anything else that is no plain decimal.
        TooPrecise: more than so many decimals; zeros at the end count, as at the venue.
    """
    if not _LEGAL.match(text) or text[-1] == "\n":
        raise NotDecimal(text[:60])
    whole, _, fraction = text.partition(".")
    if len(fraction) > decimals:
        raise TooPrecise(text[:60])
    return int(whole) * UNIT + int(fraction.ljust(DECIMALS, "0") or "0")


def text(amount: int) -> str:
    """Return units as the venue writes them: always eight decimals."""
    if amount < 0:
        return "-" + text(-amount)
    whole, fraction = divmod(amount, UNIT)
    return f"{whole}.{fraction:08d}"


def cost(price: int, quantity: int) -> int:
    """Return price times quantity in units of quote, rounded down."""
    return price * quantity // UNIT


def floor_to(amount: int, step: int) -> int:
    """Return the largest whole multiple of `step` that is not above `amount`; a step of zero is none."""
    return amount - amount % step if step else amount


def decimals_of(step: int) -> int:
    """Return how many decimals a step has: 0.001 has three."""
    digits = f"{step % UNIT:08d}".rstrip("0")
    return len(digits)
