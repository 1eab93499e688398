"""What the venue allows on a symbol: steps, minima and status."""

from decimal import Decimal

import msgspec


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol's trading rules; a step or bound of zero means that the rule is off.

    Source: Binance spot API, filters LOT_SIZE, MARKET_LOT_SIZE, PRICE_FILTER, NOTIONAL, MIN_NOTIONAL.
    """

    symbol: str
    base_asset: str
    quote_asset: str
    #: TRADING, HALT, BREAK, CANCEL_ONLY, END_OF_DAY; anything but TRADING refuses entries.
    status: str
    #: Smallest change of a price, quote per base.
    tick_size: Decimal
    #: Sizes of market orders are whole multiples of this, in base. The coarser of the two lot filters.
    step_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    #: Smallest price times size of a market order, in quote.
    min_notional: Decimal
    #: Largest number of decimals of an amount of the quote asset.
    quote_precision: int
    base_precision: int
