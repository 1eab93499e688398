"""The signed endpoints of order lists: two orders of one size on one side, of which only one happens.

Nothing happens before both legs have passed every rule.

Source: Binance spot API, orderList/oco, order/oco, orderList, openOrderList, allOrderList.
"""

from typing import Any

from botwarden.exchange.paper import errors, filters, records
from botwarden.exchange.paper.calls import Call, Endpoint, weight
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.new_order import NewOrder
from botwarden.exchange.paper.order_form import (
    leg_names,
    own_id,
    read_leg,
    read_prevention,
    read_response_type,
    read_side,
)
from botwarden.exchange.paper.order_types import ORDER_TYPES, WORKS_AS
from botwarden.exchange.paper.records import ListRecord, OrderRecord
from botwarden.exchange.paper.rest_account import read_times
from botwarden.exchange.paper.rest_market import average_of

_NO_LIST = (-2013, "Order list does not exist.")

_OLD_LIMIT = leg_names("limit")._replace(price="price")
_OLD_STOP = leg_names("stop")._replace(
    price="stopLimitPrice",
    stop_price="stopPrice",
    trailing_delta="trailingDelta",
    time_in_force="stopLimitTimeInForce",
)


# Placing and cancelling -------------------------------------------------------------------------------


async def place(call: Call) -> Any:
    """POST orderList/oco."""
    is_buy = read_side(call.params) == "BUY"
    kinds = {"above": call.params.required("aboveType"), "below": call.params.required("belowType")}
    _check_kinds(kinds["above"], kinds["below"], is_buy=is_buy)
    name = call.symbol().instrument.symbol
    above, below = (read_leg(call.params, name, kind, leg_names(at)) for at, kind in kinds.items())
    return _place(call, above, below)


async def place_old(call: Call) -> Any:
    """POST order/oco: a limit, and a stop with a limit of its own or without."""
    kind = "STOP_LOSS_LIMIT" if call.params.has("stopLimitPrice") else "STOP_LOSS"
    name = call.symbol().instrument.symbol
    limit = read_leg(call.params, name, "LIMIT_MAKER", _OLD_LIMIT)
    stop = read_leg(call.params, name, kind, _OLD_STOP)
    return _place(call, stop, limit) if limit.is_buy else _place(call, limit, stop)


async def cancel(call: Call) -> Any:
    """DELETE orderList."""
    symbol = call.symbol()
    cancel_id = call.params.client_order_id("newClientOrderId") or own_id()
    list_id, client_id = call.params.integer("orderListId"), call.params.text("listClientOrderId")
    call.params.finish()
    if list_id is None and client_id is None:
        raise errors.missing_either("listClientOrderId", "orderListId")
    standing = (
        listed for listed in call.account.open_lists.values() if listed.symbol == symbol.instrument.symbol
    )
    listed = next((it for it in standing if _is_meant(it, list_id, client_id)), None)
    if listed is None:
        raise errors.cancel_rejected()
    leg, now_ms = call.account.legs_of(listed)[0], call.check_time()
    ended = call.venue.engine.cancel(call.account, leg, now_ms, cancel_id=cancel_id)
    return shown_ended(listed, ended, cancel_id, now_ms)


def shown_ended(listed: ListRecord, legs: list[OrderRecord], cancel_id: str, now_ms: int) -> dict[str, Any]:
    """Return a list that was cancelled just now."""
    ended = {
        "transactionTime": now_ms,
        "orderReports": [records.shown_cancel(leg, cancel_id) for leg in legs],
    }
    return records.shown_list(listed, legs) | ended


# Reading ----------------------------------------------------------------------------------------------


async def read_list(call: Call) -> Any:
    """GET orderList."""
    list_id, client_id = call.params.integer("orderListId"), call.params.text("origClientOrderId")
    call.params.finish()
    if list_id is None and client_id is None:
        raise errors.missing_either("origClientOrderId", "orderListId")
    await call.venue.store.settled()
    kept, account_id = call.venue.store, call.account.account_id
    if list_id is not None:
        listed = kept.list_by_id(account_id, list_id)
    else:
        listed = kept.list_by_client(account_id, client_id or "")
    if listed is None or not _is_meant(listed, list_id, client_id):
        raise ApiError(*_NO_LIST)
    return records.shown_list(listed, _legs(call, listed))


async def open_lists(call: Call) -> Any:
    """GET openOrderList."""
    call.params.finish()
    account = call.account
    return [records.shown_list(listed, account.legs_of(listed)) for listed in account.open_lists.values()]


async def all_lists(call: Call) -> Any:
    """GET allOrderList."""
    from_id, limit = call.params.integer("fromId"), call.params.limit(500, 1000)
    from_ms, until_ms = read_times(call)
    call.params.finish()
    if from_id is not None and (from_ms is not None or until_ms is not None):
        raise errors.bad_combination()
    await call.venue.store.settled()
    found = call.venue.store.lists(
        call.account.account_id, from_id=from_id, from_ms=from_ms, until_ms=until_ms, limit=limit
    )
    return [records.shown_list(listed, _legs(call, listed)) for listed in found]


# Inside -----------------------------------------------------------------------------------------------


def _place(call: Call, above: NewOrder, below: NewOrder) -> dict[str, Any]:
    params, symbol, account = call.params, call.symbol(), call.account
    client_list_id = params.client_order_id("listClientOrderId") or own_id()
    response = read_response_type(params, "RESULT")
    read_prevention(params)
    params.finish()
    average = average_of(call, symbol)
    for wish in (above, below):
        filters.check_order(symbol.instrument, wish, average)
    if _reference(below) >= _reference(above):
        raise errors.rejected("The relationship of the prices for the orders is not correct.")
    now_ms = call.check_time()
    call.venue.orders.check(account.account_id, now_ms, new=2)
    legs = sorted((above, below), key=lambda wish: not wish.type.startswith("STOP_LOSS"))
    listed, placed = call.venue.engine.place_list(account, legs, client_list_id, now_ms)
    call.venue.orders.add(account.account_id, 2, now_ms)
    call.counts_orders = True
    reports = [records.shown_new(leg, [], response) for leg in placed]
    return records.shown_list(listed, placed) | {"orderReports": reports}


def _check_kinds(above: str, below: str, *, is_buy: bool) -> None:
    """Refuse types that do not belong together, or not there."""
    for kind in (above, below):
        if kind not in ORDER_TYPES or kind in ("MARKET", "LIMIT"):
            raise ApiError(-1158, "Order type not supported in OCO.")
    if above not in WORKS_AS and below not in WORKS_AS:
        raise ApiError(-1168, "At least one OCO order must be contingent.")
    side, stop_at, other_at = ("buy", "above", "below") if is_buy else ("sell", "below", "above")
    stop, other = (above, below) if is_buy else (below, above)
    if stop == "LIMIT_MAKER":
        code = -1165 if is_buy else -1166
        raise ApiError(code, f"A limit order in a {side} OCO must be {other_at}.")
    if other.startswith("STOP_LOSS"):
        code = -1196 if is_buy else -1197
        raise ApiError(code, f"A stop loss order in a {side} OCO must be {stop_at}.")
    if stop.startswith("TAKE_PROFIT"):
        code = -1198 if is_buy else -1199
        raise ApiError(code, f"A take profit order in a {side} OCO must be {other_at}.")


def _reference(wish: NewOrder) -> int:
    """Return the price at which a leg begins to work, or to trade."""
    return wish.stop_price or wish.price


def _is_meant(listed: ListRecord, list_id: int | None, client_id: str | None) -> bool:
    return list_id in (None, listed.list_id) and client_id in (None, listed.client_list_id)


def _legs(call: Call, listed: ListRecord) -> list[OrderRecord]:
    kept, account_id = call.venue.store, call.account.account_id
    found = [kept.order(account_id, listed.symbol, order_id) for order_id in listed.order_ids]
    return [leg for leg in found if leg is not None]


ENDPOINTS = {
    ("POST", "orderList/oco"): Endpoint(handle=place, weight=weight(1), is_signed=True, is_free=True),
    ("POST", "order/oco"): Endpoint(handle=place_old, weight=weight(1), is_signed=True, is_free=True),
    ("DELETE", "orderList"): Endpoint(handle=cancel, weight=weight(1), is_signed=True, is_free=True),
    ("GET", "orderList"): Endpoint(handle=read_list, weight=weight(4), is_signed=True),
    ("GET", "openOrderList"): Endpoint(handle=open_lists, weight=weight(6), is_signed=True),
    ("GET", "allOrderList"): Endpoint(handle=all_lists, weight=weight(20), is_signed=True),
}
