"""The signed endpoints that place and cancel orders.

Source: Binance spot API, trading endpoints.
"""

from http import HTTPStatus
from typing import Any

from botwarden.exchange.paper import errors, filters, records
from botwarden.exchange.paper.calls import Call, Endpoint, weight, weight_by
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.limits import TAKER_GIVES_BACK
from botwarden.exchange.paper.market import SymbolMarket
from botwarden.exchange.paper.new_order import NewOrder
from botwarden.exchange.paper.order_form import own_id, read_order, read_response_type
from botwarden.exchange.paper.records import OrderRecord
from botwarden.exchange.paper.rest_account import discount, rates
from botwarden.exchange.paper.rest_lists import shown_ended
from botwarden.exchange.paper.rest_market import average_of

#: Types of which the answer shows everything unless asked otherwise.
_SHOWN_IN_FULL = ("MARKET", "LIMIT")


async def place(call: Call) -> Any:
    """POST order."""
    symbol, wish, response = _read(call)
    call.params.finish()
    filters.check_order(symbol.instrument, wish, average_of(call, symbol))
    return _place(call, wish, response)


async def place_test(call: Call) -> Any:
    """POST order/test: everything is checked, nothing happens."""
    with_rates = call.params.flag("computeCommissionRates", default=False)
    symbol, wish, _ = _read(call)
    call.params.finish()
    filters.check_order(symbol.instrument, wish, average_of(call, symbol))
    call.check_time()
    if not with_rates:
        return {}
    plain, nothing = rates(), records.no_commission()
    return {
        "standardCommissionForOrder": {name: plain[name] for name in ("maker", "taker")},
        "specialCommissionForOrder": {name: nothing[name] for name in ("maker", "taker")},
        "taxCommissionForOrder": {name: nothing[name] for name in ("maker", "taker")},
        "discount": discount(call, symbol),
    }


async def cancel(call: Call) -> Any:
    """DELETE order: with the other leg of its list, if it has one."""
    symbol, params = call.symbol(), call.params
    cancel_id = params.client_order_id("newClientOrderId") or own_id()
    restrictions = _restrictions(call)
    order_id, client_id = params.integer("orderId"), params.client_order_id("origClientOrderId")
    params.finish()
    if order_id is None and client_id is None:
        raise errors.missing_either("origClientOrderId", "orderId")
    order = _on_book(call, symbol, order_id, client_id, restrictions)
    ended = call.venue.engine.cancel(call.account, order, call.check_time(), cancel_id=cancel_id)
    return records.shown_cancel(ended[0], cancel_id)


async def cancel_all(call: Call) -> Any:
    """DELETE openOrders: orders one by one, lists as lists."""
    symbol = call.symbol()
    call.params.finish()
    here = call.account.orders_of(symbol.instrument.symbol)
    if not here:
        raise errors.cancel_rejected()
    now_ms, cancel_id = call.check_time(), own_id()
    shown = []
    for order in here:
        if not order.is_open:
            continue  # Gone with the other leg.
        listed = call.account.open_lists.get(order.list_id)
        ended = call.venue.engine.cancel(call.account, order, now_ms, cancel_id=cancel_id)
        shown.append(
            records.shown_cancel(order, cancel_id)
            if listed is None
            else shown_ended(listed, ended, cancel_id, now_ms)
        )
    return shown


async def cancel_replace(call: Call) -> Any:
    """POST order/cancelReplace: first the one, then the other; the rules are checked before both."""
    params = call.params
    stops = _chosen(call, "cancelReplaceMode", ("STOP_ON_FAILURE", "ALLOW_FAILURE")) == "STOP_ON_FAILURE"
    cancels_anyway = params.has("orderRateLimitExceededMode") and (
        _chosen(call, "orderRateLimitExceededMode", ("DO_NOTHING", "CANCEL_ONLY")) == "CANCEL_ONLY"
    )
    cancel_id = params.client_order_id("cancelNewClientOrderId") or own_id()
    restrictions = _restrictions(call)
    order_id, client_id = params.integer("cancelOrderId"), params.client_order_id("cancelOrigClientOrderId")
    symbol, wish, response = _read(call)
    params.finish()
    if order_id is None and client_id is None:
        raise errors.missing_either("cancelOrigClientOrderId", "cancelOrderId")
    filters.check_order(symbol.instrument, wish, average_of(call, symbol))
    now_ms = call.check_time()
    limited = _refused_by_limit(call, now_ms)
    if limited is not None and not cancels_anyway:
        raise limited

    def take_off() -> Any:
        order = _on_book(call, symbol, order_id, client_id, restrictions)
        ended = call.venue.engine.cancel(call.account, order, now_ms, cancel_id=cancel_id)
        return records.shown_cancel(ended[0], cancel_id)

    cancelled = _tried(take_off)
    if isinstance(cancelled, ApiError) and stops:
        call.venue.orders.add(call.account.account_id, 1, now_ms)  # Counts though it was not attempted.
        placed = None
    else:
        placed = limited or _tried(lambda: _place(call, wish, response))
    return _both(cancelled, placed, status=limited.status if limited else None)


# What was asked for -----------------------------------------------------------------------------------


def _read(call: Call) -> tuple[SymbolMarket, NewOrder, str]:
    symbol = call.symbol()
    wish = read_order(call.params, symbol.instrument.symbol)
    default = "FULL" if wish.type in _SHOWN_IN_FULL else "ACK"
    return symbol, wish, read_response_type(call.params, default)


def _restrictions(call: Call) -> str | None:
    restrictions = call.params.text("cancelRestrictions")
    if restrictions not in (None, "ONLY_NEW", "ONLY_PARTIALLY_FILLED"):
        raise ApiError(-1145, "`cancelRestrictions` has to be either `ONLY_NEW` or `ONLY_PARTIALLY_FILLED`.")
    return restrictions


def _chosen(call: Call, name: str, known: tuple[str, ...]) -> str:
    value = call.params.required(name)
    if value not in known:
        raise errors.illegal_characters(name, f"^({'|'.join(known)})$")
    return value


def _on_book(
    call: Call, symbol: SymbolMarket, order_id: int | None, client_id: str | None, restrictions: str | None
) -> OrderRecord:
    name, holder = symbol.instrument.symbol, call.account
    if order_id is not None:
        found = holder.open_orders.get((name, order_id))
    else:
        here = (order for order in holder.open_orders.values() if order.symbol == name)
        found = next((order for order in here if order.client_order_id == client_id), None)
    if found is None:
        raise errors.cancel_rejected()
    if client_id is not None and found.client_order_id != client_id:
        raise errors.wrong_client_order_id()
    if restrictions is not None and restrictions != f"ONLY_{found.status}":
        raise errors.cancel_rejected("Order was not canceled due to cancel restrictions.")
    return found


# What is done about it --------------------------------------------------------------------------------


def _place(call: Call, wish: NewOrder, response: str) -> dict[str, Any]:
    now_ms = call.check_time()
    limit, account = call.venue.orders, call.account
    limit.check(account.account_id, now_ms)
    order, trades = call.venue.engine.place(account, wish, now_ms)
    limit.add(account.account_id, 1 - (TAKER_GIVES_BACK if trades else 0), now_ms)
    call.counts_orders = True
    return records.shown_new(order, trades, response)


def _refused_by_limit(call: Call, now_ms: int) -> ApiError | None:
    try:
        call.venue.orders.check(call.account.account_id, now_ms)
    except ApiError as refused:
        return refused
    return None


def _tried(act: Any) -> Any:
    try:
        return act()
    except ApiError as refused:
        return refused


def _both(cancelled: Any, placed: Any, *, status: int | None) -> dict[str, Any]:
    """Return how cancel and order went.

    Raises:
        ApiError: not both went well.
    """
    said = {
        "cancelResult": _result(cancelled),
        "newOrderResult": _result(placed),
        "cancelResponse": _response(cancelled),
        "newOrderResponse": _response(placed),
    }
    failures = [it for it in (cancelled, placed) if it is None or isinstance(it, ApiError)]
    if not failures:
        return said
    if len(failures) == 1:
        refused = ApiError(
            -2021, "Order cancel-replace partially failed.", status=status or HTTPStatus.CONFLICT
        )
    else:
        refused = ApiError(-2022, "Order cancel-replace failed.", status=status or HTTPStatus.BAD_REQUEST)
    refused.data = said
    raise refused


def _result(outcome: Any) -> str:
    if outcome is None:
        return "NOT_ATTEMPTED"
    return "FAILURE" if isinstance(outcome, ApiError) else "SUCCESS"


def _response(outcome: Any) -> Any:
    return {"code": outcome.code, "msg": outcome.message} if isinstance(outcome, ApiError) else outcome


ENDPOINTS = {
    ("POST", "order"): Endpoint(handle=place, weight=weight(1), is_signed=True, is_free=True),
    ("POST", "order/test"): Endpoint(
        handle=place_test, weight=weight_by("computeCommissionRates", given=20, absent=1), is_signed=True
    ),
    ("POST", "order/cancelReplace"): Endpoint(
        handle=cancel_replace, weight=weight(1), is_signed=True, is_free=True
    ),
    ("DELETE", "order"): Endpoint(handle=cancel, weight=weight(1), is_signed=True, is_free=True),
    ("DELETE", "openOrders"): Endpoint(handle=cancel_all, weight=weight(1), is_signed=True, is_free=True),
}
