"""What commissions were worth in the quote asset.

Exact where the commission was taken in one of the pair's own assets. Another asset (usually the venue's
own coin) is valued at its last price; when there is none to be had, at zero with a warning: a missing
price must not hold back the settlement of an order.
"""

from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal

import msgspec
import structlog

from botwarden.errors import Missing, Unavailable
from botwarden.runtime import Clock
from botwarden.trading.bot import ZERO
from botwarden.trading.instruments import Instrument
from botwarden.trading.orders import Fill

log = structlog.get_logger(__name__)

#: How long a looked-up price is good enough for a fee.
PRICE_GOOD_FOR_S = 60.0


class Commissions:
    """Values commissions, looking up prices where it must."""

    def __init__(
        self,
        clock: Clock,
        *,
        last_price: Callable[[str], Awaitable[Decimal]],
        instrument: Callable[[str], Instrument | None],
    ) -> None:
        self._clock = clock
        self._last_price = last_price
        #: What is known of a symbol without asking.
        self._instrument = instrument
        self._prices: dict[str, tuple[float, Decimal]] = {}

    async def value(self, symbol: str, fills: Iterable[Fill]) -> tuple[Fill, ...]:
        """Return the fills with `commission_quote` set."""
        return tuple([await self._valued(symbol, fill) for fill in fills])

    async def _valued(self, symbol: str, fill: Fill) -> Fill:
        worth = fill.commission
        if fill.commission:
            worth *= await self._worth(symbol, fill)
        return msgspec.structs.replace(fill, commission_quote=worth)

    async def _worth(self, symbol: str, fill: Fill) -> Decimal:
        base, quote = self._pair(symbol, fill.commission_asset)
        if fill.commission_asset == quote:
            return Decimal(1)
        if fill.commission_asset == base:
            return fill.price_quote
        return await self._looked_up(fill.commission_asset + quote)

    def _pair(self, symbol: str, commission_asset: str) -> tuple[str, str]:
        """Return base and quote asset; guessed from the symbol's name while its rules are not loaded."""
        known = self._instrument(symbol)
        if known is not None:
            return known.base_asset, known.quote_asset
        if symbol.endswith(commission_asset):
            return symbol.removesuffix(commission_asset), commission_asset
        if symbol.startswith(commission_asset):
            return commission_asset, symbol.removeprefix(commission_asset)
        return "", next((quote for quote in _COMMON_QUOTES if symbol.endswith(quote)), "")

    async def _looked_up(self, symbol: str) -> Decimal:
        now_s = self._clock.monotonic()
        looked_up_s, price = self._prices.get(symbol, (float("-inf"), ZERO))
        if now_s - looked_up_s < PRICE_GOOD_FOR_S:
            return price
        try:
            price = await self._last_price(symbol)
        except (Unavailable, Missing) as away:
            log.warning("commission.unvalued", symbol=symbol, why=str(away))
            return ZERO
        self._prices[symbol] = (now_s, price)
        return price


#: Longest first, so that FDUSD is not taken for USD.
_COMMON_QUOTES = ("FDUSD", "USDT", "USDC", "TUSD", "BTC", "ETH", "BNB", "EUR", "TRY", "BRL", "JPY")
