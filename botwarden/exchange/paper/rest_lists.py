"""The signed endpoints of order lists: a sale at a limit above and at a stop below, of which one happens.

Only that shape is offered (LIMIT_MAKER above, STOP_LOSS below, SELL), and nothing of it happens before
both legs have passed every filter.

Source: Binance spot API, orderList/oco, orderList, openOrderList.
"""

from typing import Any

from botwarden.exchange.paper import errors, filters, records
from botwarden.exchange.paper.engine import NewOrder
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.gate import Call, Endpoint, weight
from botwarden.exchange.paper.records import ListRecord, OrderRecord
from botwarden.exchange.paper.rest_market import average_of
from botwarden.exchange.paper.rest_trade import own_id

_NO_LIST = ApiError(-2013, "Order list does not exist.")


async def place(call: Call) -> Any:
    """POST orderList/oco."""
    above, below, client_list_id = _wish(call)
    call.params.finish()
    _check_filters(call, above, below)
    now_ms = call.check_time()
    limit, account = call.venue.orders, call.account
    limit.check(account.account_id, now_ms)
    listed, legs = call.venue.engine.place_oco(account, above, below, client_list_id, now_ms)
    limit.add(account.account_id, 2, now_ms)
    call.counts_orders = True
    return records.shown_list(listed, legs) | {"orderReports": [records.shown_result(leg) for leg in legs]}


async def cancel(call: Call) -> Any:
    """DELETE orderList."""
    symbol = call.symbol()
    cancel_id = call.params.client_order_id("newClientOrderId") or own_id()
    list_id, client_id = call.params.integer("orderListId"), call.params.text("listClientOrderId")
    call.params.finish()
    await call.venue.store.settled()
    listed = _find(call, list_id, client_id, "listClientOrderId")
    keys = [(symbol.instrument.symbol, order_id) for order_id in listed.order_ids] if listed else []
    legs = [leg for key in keys if (leg := call.account.open_orders.get(key)) is not None]
    if listed is None or not legs:
        raise errors.cancel_rejected()
    call.venue.engine.cancel(call.account, legs[0], call.check_time())
    reports = [records.shown_cancel(leg, cancel_id) for leg in legs]
    return records.shown_list(listed, legs) | {"orderReports": reports}


async def read_list(call: Call) -> Any:
    """GET orderList."""
    list_id, client_id = call.params.integer("orderListId"), call.params.text("origClientOrderId")
    call.params.finish()
    await call.venue.store.settled()
    listed = _find(call, list_id, client_id, "origClientOrderId")
    if listed is None:
        raise _NO_LIST
    return records.shown_list(listed, _legs(call, listed))


async def open_lists(call: Call) -> Any:
    """GET openOrderList."""
    call.params.finish()
    await call.venue.store.settled()
    ids = {order.list_id for order in call.account.open_orders.values()} - {-1}
    found = (call.venue.store.list_by_id(call.account.account_id, list_id) for list_id in sorted(ids))
    return [records.shown_list(listed, _legs(call, listed)) for listed in found if listed is not None]


def _find(call: Call, list_id: int | None, client_id: str | None, name: str) -> ListRecord | None:
    if list_id is None and client_id is None:
        raise errors.missing_either(name, "orderListId")
    store, account_id = call.venue.store, call.account.account_id
    if list_id is not None:
        return store.list_by_id(account_id, list_id)
    return store.list_by_client(account_id, client_id or "")


def _legs(call: Call, listed: ListRecord) -> list[OrderRecord]:
    store, account_id = call.venue.store, call.account.account_id
    found = [store.order(account_id, listed.symbol, order_id) for order_id in listed.order_ids]
    return [leg for leg in found if leg is not None]


def _wish(call: Call) -> tuple[NewOrder, NewOrder, str]:
    params, symbol = call.params, call.symbol()
    if params.required("side") != "SELL":
        raise errors.rejected("Only sales are supported as order lists for this symbol.")
    kinds = params.required("aboveType"), params.required("belowType")
    if kinds != ("LIMIT_MAKER", "STOP_LOSS"):
        raise errors.rejected("Only LIMIT_MAKER above STOP_LOSS is supported for this symbol.")
    for name in ("quantity", "abovePrice", "belowStopPrice"):
        params.required(name)
    params.ignore("newOrderRespType", "selfTradePreventionMode")
    quantity = params.amount("quantity") or 0
    above = NewOrder(
        symbol=symbol.instrument.symbol,
        side="SELL",
        type="LIMIT_MAKER",
        time_in_force="GTC",
        client_order_id=params.client_order_id("aboveClientOrderId") or own_id(),
        price=params.amount("abovePrice") or 0,
        quantity=quantity,
    )
    below = NewOrder(
        symbol=symbol.instrument.symbol,
        side="SELL",
        type="STOP_LOSS",
        time_in_force="GTC",
        client_order_id=params.client_order_id("belowClientOrderId") or own_id(),
        stop_price=params.amount("belowStopPrice") or 0,
        quantity=quantity,
    )
    return above, below, params.client_order_id("listClientOrderId") or own_id()


def _check_filters(call: Call, above: NewOrder, below: NewOrder) -> None:
    rules = call.symbol().instrument
    average = average_of(call, call.symbol())
    filters.check_quantity(rules, above.quantity, is_market=True)
    for price in (above.price, below.stop_price):
        filters.check_price(rules, price, average)
        filters.check_notional(rules, price=price, quantity=above.quantity)
    if below.stop_price >= above.price:
        raise errors.rejected("The relationship of the prices for the orders is not correct.")


ENDPOINTS = {
    ("POST", "orderList/oco"): Endpoint(handle=place, weight=weight(1), is_signed=True, is_free=True),
    ("GET", "orderList"): Endpoint(handle=read_list, weight=weight(4), is_signed=True),
    ("DELETE", "orderList"): Endpoint(handle=cancel, weight=weight(1), is_signed=True, is_free=True),
    ("GET", "openOrderList"): Endpoint(handle=open_lists, weight=weight(6), is_signed=True),
}
