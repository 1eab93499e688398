"""What the venue keeps of each fill, and in which asset. Pure but for the prices that it reads.

Plainly a tenth of a per cent of what is received. An account that pays in BNB has a discount while it has
enough; from the fill on for which it has not, it pays plainly, in the middle of an order too.

Source: Binance spot API, commission FAQ; rates are the venue's plain ones.
"""

from botwarden.exchange.paper.accounts import Account
from botwarden.exchange.paper.amounts import UNIT, text
from botwarden.exchange.paper.instruments import PaperInstrument
from botwarden.exchange.paper.market import Market
from botwarden.exchange.paper.matching import COMMISSION_BPS, Take, commission

BURNED = "BNB"

#: What is left of the commission for who pays in BNB, of a hundred.
_DISCOUNTED = 75

RATE = text(COMMISSION_BPS * UNIT // 10_000)
DISCOUNT = text(_DISCOUNTED * UNIT // 100)

#: What prices are looked up in where an asset has no price in the other.
_BETWEEN = "USDT"


def fee(
    market: Market, account: Account, rules: PaperInstrument, fill: Take, *, is_buy: bool
) -> tuple[int, str]:
    """Return the commission of a fill, and its asset. What the fill brings has been received."""
    if account.burns_bnb:
        burned = _in_bnb(market, rules, fill)
        if burned is not None and account.holding(BURNED).free >= burned:
            return burned, BURNED
    got = fill.quantity if is_buy else fill.quote
    return commission(got), rules.base if is_buy else rules.quote


def can_burn(market: Market, rules: PaperInstrument) -> bool:
    """Whether commissions of this symbol can be valued in BNB."""
    return rules.base == BURNED or _price(market, BURNED, rules.quote) is not None


def _in_bnb(market: Market, rules: PaperInstrument, fill: Take) -> int | None:
    if rules.base == BURNED:
        return commission(fill.quantity) * _DISCOUNTED // 100
    price = _price(market, BURNED, rules.quote)
    return None if price is None else fill.quote * COMMISSION_BPS * _DISCOUNTED * UNIT // price // 1_000_000


def _price(market: Market, asset: str, quote: str) -> int | None:
    """Return the price of an asset in another, as the market knows it."""
    if asset == quote:
        return UNIT
    direct = market.symbols.get(asset + quote)
    if direct is not None:
        return direct.price
    if quote == _BETWEEN:
        return None
    over = _price(market, asset, _BETWEEN), _price(market, quote, _BETWEEN)
    return None if over[0] is None or not over[1] else over[0] * UNIT // over[1]
