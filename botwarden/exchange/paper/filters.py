"""The symbol's trading rules, applied to an order before it reaches the engine.

Pure. Source: Binance spot API, filters.
"""

from botwarden.exchange.paper.amounts import cost
from botwarden.exchange.paper.errors import ApiError, filter_failure
from botwarden.exchange.paper.instruments import (
    MAX_OPEN_LISTS,
    MAX_OPEN_ORDERS,
    MAX_OPEN_STOPS,
    PRICE_BAND_DOWN,
    PRICE_BAND_UP,
    PaperInstrument,
)


def check_price(rules: PaperInstrument, price: int, average: int) -> None:
    """Refuse a limit price off the grid or far away from the average."""
    if price <= 0:
        raise ApiError(-1013, "Invalid price.")
    if price < rules.tick or price > rules.max_price or price % rules.tick:
        raise filter_failure("PRICE_FILTER")
    if price > average * PRICE_BAND_UP or price * PRICE_BAND_DOWN < average:
        raise filter_failure("PERCENT_PRICE_BY_SIDE")


def check_quantity(rules: PaperInstrument, quantity: int, *, is_market: bool) -> None:
    """Refuse a size in base that is off the grid, too small or too large."""
    if quantity <= 0:
        raise ApiError(-1013, "Invalid quantity.")
    if quantity < rules.min_quantity or quantity > rules.max_quantity or quantity % rules.step:
        raise filter_failure("LOT_SIZE")
    if is_market and quantity > rules.max_market_quantity:
        raise filter_failure("MARKET_LOT_SIZE")


def check_notional(rules: PaperInstrument, *, price: int, quantity: int) -> None:
    """Refuse an order that is worth too little."""
    check_quote(rules, cost(price, quantity))


def check_quote(rules: PaperInstrument, quote: int) -> None:
    """Refuse a size in quote that is too little."""
    if quote <= 0:
        raise ApiError(-1013, "Invalid quantity.")
    if quote < rules.min_notional:
        raise filter_failure("NOTIONAL")


def check_open_orders(count: int) -> None:
    """Refuse one order too many on the book of one symbol."""
    if count >= MAX_OPEN_ORDERS:
        raise filter_failure("MAX_NUM_ORDERS")


def check_open_lists(lists: int, stops: int) -> None:
    """Refuse one list, or one stop, too many on the book of one symbol."""
    if stops >= MAX_OPEN_STOPS:
        raise filter_failure("MAX_NUM_ALGO_ORDERS")
    if lists >= MAX_OPEN_LISTS:
        raise filter_failure("MAX_NUM_ORDER_LISTS")
