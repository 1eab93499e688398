"""How much an order is for.

Rounded so that an entry cannot overspend and an exit cannot sell what the bot does not hold; zero
means that the venue's filters allow no order of that size.
"""

from decimal import Decimal

import msgspec

from botwarden.trading.bot import ZERO, BotConfig
from botwarden.trading.instruments import Instrument
from botwarden.trading.money import BOOKS, floor_to_places, floor_to_step, percent_of


class EntrySize(msgspec.Struct, frozen=True, kw_only=True):
    """The size of a market BUY: exactly one of the two."""

    quantity_base: Decimal | None = None
    #: Spend at most this.
    quantity_quote: Decimal | None = None


def entry_size(config: BotConfig, price_quote: Decimal, instrument: Instrument) -> EntrySize | None:
    """Return what to buy, or None when that is below the venue's filters at this price.

    A fixed size is cut to the lot's step. A percentage of the capital is spent as an amount of quote,
    which the venue itself cannot overspend. Sizes above the venue's maximum are cut to it.
    """
    if config.position_size_fixed is not None:
        base = floor_to_step(
            _at_most(config.position_size_fixed, instrument.max_quantity), instrument.step_size
        )
        return EntrySize(quantity_base=base) if is_tradable(base, price_quote, instrument) else None
    budget = percent_of(config.initial_capital, config.position_size_perc or ZERO)
    largest = BOOKS.multiply(instrument.max_quantity, price_quote)
    quote = floor_to_places(_at_most(budget, largest), instrument.quote_precision)
    estimate = floor_to_step(BOOKS.divide(quote, price_quote), instrument.step_size)
    return EntrySize(quantity_quote=quote) if is_tradable(estimate, price_quote, instrument) else None


def exit_size(
    held_base: Decimal, free_base: Decimal | None, price_quote: Decimal, instrument: Instrument
) -> Decimal:
    """Return what to sell of a position; zero when that is below the venue's filters at this price.

    `free_base` is what the account has free, where the venue has said that it is less than we hold.
    """
    sellable = held_base if free_base is None else min(held_base, max(free_base, ZERO))
    base = floor_to_step(_at_most(sellable, instrument.max_quantity), instrument.step_size)
    return base if is_tradable(base, price_quote, instrument) else ZERO


def is_tradable(quantity_base: Decimal, price_quote: Decimal, instrument: Instrument) -> bool:
    """Return whether the venue takes an order of this size, in whole steps, at this price.

    Source: Binance spot API, filters LOT_SIZE, MARKET_LOT_SIZE, NOTIONAL, MIN_NOTIONAL.
    """
    return (
        quantity_base > 0
        and quantity_base >= instrument.min_quantity
        and BOOKS.multiply(quantity_base, price_quote) >= instrument.min_notional
    )


def is_dust(held_base: Decimal, price_quote: Decimal, instrument: Instrument) -> bool:
    """Return whether what is held is too little to be sold at this price."""
    return exit_size(held_base, None, price_quote, instrument) == 0


def _at_most(amount: Decimal, bound: Decimal) -> Decimal:
    """Return the amount cut to the bound; a bound of zero is off."""
    return min(amount, bound) if bound > 0 else amount
