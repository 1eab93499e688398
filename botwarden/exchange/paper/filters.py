"""The symbol's trading rules, applied to an order before it reaches the engine.

Pure. Source: Binance spot API, filters.
"""

from collections.abc import Collection, Sized

from botwarden.exchange.paper.amounts import cost
from botwarden.exchange.paper.errors import ApiError, filter_failure, invalid_quantity
from botwarden.exchange.paper.instruments import (
    EXCHANGE_MAX_LISTS,
    EXCHANGE_MAX_ORDERS,
    EXCHANGE_MAX_STOPS,
    MAX_ICEBERG_PARTS,
    MAX_NOTIONAL,
    MAX_OPEN_ICEBERGS,
    MAX_OPEN_LISTS,
    MAX_OPEN_ORDERS,
    MAX_OPEN_STOPS,
    PRICE_BAND_DOWN,
    PRICE_BAND_UP,
    PaperInstrument,
)
from botwarden.exchange.paper.new_order import NewOrder
from botwarden.exchange.paper.order_types import LIMITED, WORKS_AS
from botwarden.exchange.paper.records import OrderRecord


def check_order(rules: PaperInstrument, wish: NewOrder, average: int) -> None:
    """Refuse an order that breaks a rule. `average`: the price of the last minutes.

    Raises:
        ApiError: naming the rule.
    """
    if wish.type in LIMITED:
        check_price(rules, wish.price)
        check_band(wish.price, average)
    if wish.waits:
        check_price(rules, wish.stop_price)
    if wish.quote_quantity:
        check_quote(rules, wish.quote_quantity)
        return
    is_market = WORKS_AS.get(wish.type, wish.type) == "MARKET"
    check_quantity(rules, wish.quantity, is_market=is_market)
    if wish.iceberg:
        check_iceberg(rules, wish)
    worth = cost(wish.price or wish.stop_price or average, wish.quantity)
    check_quote(rules, worth)
    if not is_market and worth > MAX_NOTIONAL:
        raise filter_failure("NOTIONAL")


def check_price(rules: PaperInstrument, price: int) -> None:
    """Refuse a price off the grid."""
    if price <= 0:
        raise ApiError(-1013, "Invalid price.")
    if price < rules.tick or price > rules.max_price or price % rules.tick:
        raise filter_failure("PRICE_FILTER")


def check_band(price: int, average: int) -> None:
    """Refuse a limit price far away from the average."""
    if price > average * PRICE_BAND_UP or price * PRICE_BAND_DOWN < average:
        raise filter_failure("PERCENT_PRICE_BY_SIDE")


def check_quantity(rules: PaperInstrument, quantity: int, *, is_market: bool) -> None:
    """Refuse a size in base that is off the grid, too small or too large."""
    if quantity <= 0:
        raise invalid_quantity()
    if quantity < rules.min_quantity or quantity > rules.max_quantity or quantity % rules.step:
        raise filter_failure("LOT_SIZE")
    if is_market and quantity > rules.max_market_quantity:
        raise filter_failure("MARKET_LOT_SIZE")


def check_iceberg(rules: PaperInstrument, wish: NewOrder) -> None:
    """Refuse an order whose visible part is no size, or that would be in too many parts."""
    if wish.iceberg % rules.step or not rules.min_quantity <= wish.iceberg <= rules.max_quantity:
        raise filter_failure("LOT_SIZE")
    if -(-wish.quantity // wish.iceberg) > MAX_ICEBERG_PARTS:
        raise filter_failure("ICEBERG_PARTS")


def check_quote(rules: PaperInstrument, quote: int) -> None:
    """Refuse what is worth too little."""
    if quote < rules.min_notional:
        raise filter_failure("NOTIONAL")


def check_position(rules: PaperInstrument, *, held: int, buying: int, new: int) -> None:
    """Refuse a purchase that would make a position too large. `buying`: what open orders would bring."""
    if rules.max_position and held + buying + new > rules.max_position:
        raise filter_failure("MAX_POSITION")


def check_open(
    orders: Collection[OrderRecord], *, new: int, stops: int, lists: int, icebergs: int = 0
) -> None:
    """Refuse what would be too much on the book of one symbol. `orders`: what is there."""
    _check_room(orders, new, MAX_OPEN_ORDERS, "MAX_NUM_ORDERS")
    _check_room([it for it in orders if it.waits], stops, MAX_OPEN_STOPS, "MAX_NUM_ALGO_ORDERS")
    _check_room(_lists(orders), lists, MAX_OPEN_LISTS, "MAX_NUM_ORDER_LISTS")
    _check_room([it for it in orders if it.iceberg], icebergs, MAX_OPEN_ICEBERGS, "MAX_NUM_ICEBERG_ORDERS")


def check_everywhere(orders: Collection[OrderRecord], *, new: int, stops: int, lists: int) -> None:
    """Refuse what would be too much on all books together. `orders`: what is there."""
    _check_room(orders, new, EXCHANGE_MAX_ORDERS, "EXCHANGE_MAX_NUM_ORDERS")
    waiting = [it for it in orders if it.waits]
    _check_room(waiting, stops, EXCHANGE_MAX_STOPS, "EXCHANGE_MAX_NUM_ALGO_ORDERS")
    _check_room(_lists(orders), lists, EXCHANGE_MAX_LISTS, "EXCHANGE_MAX_NUM_ORDER_LISTS")


def _check_room(there: Sized, new: int, most: int, name: str) -> None:
    if new and len(there) + new > most:
        raise filter_failure(name)


def _lists(orders: Collection[OrderRecord]) -> set[int]:
    return {order.list_id for order in orders} - {-1}
