"""The signed endpoints: orders, executions, balances.

Source: Binance spot API, trading and account endpoints.
"""

import secrets
from typing import Any

from botwarden.exchange.paper import errors, filters, records
from botwarden.exchange.paper.amounts import text
from botwarden.exchange.paper.engine import NewOrder
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.gate import Call, Endpoint, weight, weight_by
from botwarden.exchange.paper.limits import TAKER_GIVES_BACK, interval_of
from botwarden.exchange.paper.market import SymbolMarket
from botwarden.exchange.paper.matching import COMMISSION_BPS
from botwarden.exchange.paper.records import OrderRecord
from botwarden.exchange.paper.rest_market import average_of
from botwarden.exchange.paper.times import DAY_MS

NOT_SUPPORTED = {
    "STOP_LOSS": "Stop loss orders are not supported for this symbol.",
    "STOP_LOSS_LIMIT": "Stop loss limit orders are not supported for this symbol.",
    "TAKE_PROFIT": "Take profit orders are not supported for this symbol.",
    "TAKE_PROFIT_LIMIT": "Take profit limit orders are not supported for this symbol.",
}

_RATE = text(COMMISSION_BPS * 10_000)


# Placing and cancelling -------------------------------------------------------------------------------


async def place(call: Call) -> Any:
    """POST order."""
    symbol, wish = _wish(call)
    response = _response_type(call, wish)
    call.params.finish()
    _check_filters(call, symbol, wish)
    now_ms = call.check_time()
    limit, account = call.venue.orders, call.account
    limit.check(account.account_id, now_ms)
    order, trades = call.venue.engine.place(account, wish, now_ms)
    limit.add(account.account_id, 1 - (TAKER_GIVES_BACK if trades else 0), now_ms)
    call.counts_orders = True
    if response == "ACK":
        return records.shown_ack(order)
    return records.shown_full(order, trades) if response == "FULL" else records.shown_result(order)


async def place_test(call: Call) -> Any:
    """POST order/test: everything is checked, nothing happens."""
    with_rates = call.params.flag("computeCommissionRates", default=False)
    symbol, wish = _wish(call)
    _response_type(call, wish)
    call.params.finish()
    _check_filters(call, symbol, wish)
    call.check_time()
    if not with_rates:
        return {}
    rates = _rates()
    return {
        "standardCommissionForOrder": {"maker": rates["maker"], "taker": rates["taker"]},
        "specialCommissionForOrder": {"maker": text(0), "taker": text(0)},
        "taxCommissionForOrder": {"maker": text(0), "taker": text(0)},
        "discount": _discount(),
    }


async def cancel(call: Call) -> Any:
    """DELETE order."""
    symbol, params = call.symbol(), call.params
    cancel_id = params.client_order_id("newClientOrderId") or own_id()
    restrictions = params.text("cancelRestrictions")
    order_id, client_id = params.integer("orderId"), params.client_order_id("origClientOrderId")
    params.finish()
    if order_id is None and client_id is None:
        raise errors.missing_either("origClientOrderId", "orderId")
    order = _on_book(call, symbol, order_id, client_id)
    allowed = {"ONLY_NEW": "NEW", "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED"}
    if restrictions is not None and allowed.get(restrictions) != order.status:
        raise errors.cancel_rejected("Order was not canceled due to cancel restrictions.")
    ended = call.venue.engine.cancel(call.account, order, call.check_time())
    return records.shown_cancel(ended, cancel_id)


async def cancel_all(call: Call) -> Any:
    """DELETE openOrders."""
    symbol = call.symbol()
    call.params.finish()
    here = [order for order in call.account.open_orders.values() if order.symbol == symbol.instrument.symbol]
    if not here:
        raise errors.cancel_rejected()
    now_ms = call.check_time()
    engine, cancel_id = call.venue.engine, own_id()
    return [records.shown_cancel(engine.cancel(call.account, order, now_ms), cancel_id) for order in here]


# Reading ----------------------------------------------------------------------------------------------


async def read_order(call: Call) -> Any:
    """GET order."""
    symbol, params = call.symbol(), call.params
    order_id, client_id = params.integer("orderId"), params.text("origClientOrderId")
    params.finish()
    if order_id is None and client_id is None:
        raise errors.missing_either("origClientOrderId", "orderId")
    await call.venue.store.settled()
    name, account_id, kept = symbol.instrument.symbol, call.account.account_id, call.venue.store
    if order_id is not None:
        order = kept.order(account_id, name, order_id)
    else:
        order = kept.order_by_client(account_id, name, client_id or "")
    if order is None:
        raise errors.no_such_order()
    if client_id is not None and order.client_order_id != client_id:
        raise errors.wrong_client_order_id()
    return records.shown_order(order)


async def open_orders(call: Call) -> Any:
    """GET openOrders."""
    wanted = call.symbol().instrument.symbol if call.params.has("symbol") else None
    call.params.finish()
    orders = call.account.open_orders.values()
    return [records.shown_order(order) for order in orders if wanted in (None, order.symbol)]


async def all_orders(call: Call) -> Any:
    """GET allOrders."""
    symbol, params = call.symbol(), call.params
    from_id, limit = params.integer("orderId"), params.limit(500, 1000)
    from_ms, until_ms = _times(call)
    params.finish()
    await call.venue.store.settled()
    orders = call.venue.store.orders(
        call.account.account_id,
        symbol.instrument.symbol,
        from_id=from_id,
        from_ms=from_ms,
        until_ms=until_ms,
        limit=limit,
    )
    return [records.shown_order(order) for order in orders]


async def my_trades(call: Call) -> Any:
    """GET myTrades."""
    symbol, params = call.symbol(), call.params
    from_id, order_id = params.integer("fromId"), params.integer("orderId")
    limit = params.limit(500, 1000)
    from_ms, until_ms = _times(call)
    params.finish()
    if from_id is not None and (from_ms is not None or until_ms is not None):
        raise errors.bad_combination()
    await call.venue.store.settled()
    trades = call.venue.store.trades(
        call.account.account_id,
        symbol.instrument.symbol,
        order_id=order_id,
        from_id=from_id,
        from_ms=from_ms,
        until_ms=until_ms,
        limit=limit,
    )
    return [records.shown_trade(trade) for trade in trades]


async def account(call: Call) -> Any:
    """GET account."""
    omits_zero = call.params.flag("omitZeroBalances", default=False)
    call.params.finish()
    rates = _rates()
    holder = call.account
    return {
        "makerCommission": COMMISSION_BPS,
        "takerCommission": COMMISSION_BPS,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": rates,
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": holder.updated_ms,
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": text(held.free), "locked": text(held.locked)}
            for asset, held in sorted(_all_holdings(call).items())
            if not omits_zero or held.free or held.locked
        ],
        "permissions": ["SPOT"],
        "uid": holder.account_id,
    }


async def commission(call: Call) -> Any:
    """GET account/commission."""
    symbol = call.symbol()
    call.params.finish()
    nothing = dict.fromkeys(("maker", "taker", "buyer", "seller"), text(0))
    return {
        "symbol": symbol.instrument.symbol,
        "standardCommission": _rates(),
        "specialCommission": nothing,
        "taxCommission": nothing,
        "discount": _discount(),
    }


async def order_counts(call: Call) -> Any:
    """GET rateLimit/order."""
    call.params.finish()
    counts = call.venue.orders.counts(call.account.account_id, call.now_ms)
    return [
        {
            "rateLimitType": "ORDERS",
            "interval": interval,
            "intervalNum": number,
            "limit": limit,
            "count": counts[window],
        }
        for window, limit in call.venue.orders.limits.items()
        for interval, number in [interval_of(window)]
    ]


# What was asked for -----------------------------------------------------------------------------------


def _wish(call: Call) -> tuple[SymbolMarket, NewOrder]:
    """Return the order as it was asked for, of the right form."""
    params = call.params
    symbol = call.symbol()
    side, kind = params.required("side"), params.required("type")
    if side not in ("BUY", "SELL"):
        raise ApiError(-1117, "Invalid side.")
    if kind in NOT_SUPPORTED:
        raise errors.rejected(NOT_SUPPORTED[kind])
    if kind not in ("MARKET", "LIMIT", "LIMIT_MAKER"):
        raise ApiError(-1116, "Invalid orderType.")
    if params.has("icebergQty"):
        raise errors.rejected("Iceberg orders are not supported for this symbol.")
    params.ignore("strategyId", "strategyType", "selfTradePreventionMode")
    client_id = params.client_order_id("newClientOrderId") or own_id()
    shape = _market_shape(call) if kind == "MARKET" else _limit_shape(call, kind)
    wish = NewOrder(symbol=symbol.instrument.symbol, side=side, type=kind, client_order_id=client_id, **shape)
    return symbol, wish


def _market_shape(call: Call) -> dict[str, Any]:
    params = call.params
    for name in ("timeInForce", "price", "stopPrice", "trailingDelta"):
        if params.has(name):
            raise errors.not_required(name)
    quantity, quote = params.amount("quantity"), params.amount("quoteOrderQty")
    if quantity is not None and quote is not None:
        raise errors.bad_combination()
    if quantity is None and quote is None:
        raise errors.missing_either("quantity", "quoteOrderQty")
    if (quantity if quote is None else quote) == 0:
        raise ApiError(-1013, "Invalid quantity.")
    return {"time_in_force": "GTC", "quantity": quantity or 0, "quote_quantity": quote or 0}


def _limit_shape(call: Call, kind: str) -> dict[str, Any]:
    params = call.params
    for name in ("quoteOrderQty", "stopPrice", "trailingDelta"):
        if params.has(name):
            raise errors.not_required(name)
    if kind == "LIMIT_MAKER":
        if params.has("timeInForce"):
            raise errors.not_required("timeInForce")
        in_force = "GTC"
    else:
        in_force = params.required("timeInForce")
        if in_force not in ("GTC", "IOC", "FOK"):
            raise ApiError(-1115, "Invalid timeInForce.")
    params.required("quantity")
    params.required("price")
    return {
        "time_in_force": in_force,
        "quantity": params.amount("quantity") or 0,
        "price": params.amount("price") or 0,
    }


def _response_type(call: Call, wish: NewOrder) -> str:
    default = "ACK" if wish.type == "LIMIT_MAKER" else "FULL"
    wanted = call.params.text("newOrderRespType") or default
    if wanted not in ("ACK", "RESULT", "FULL"):
        raise errors.illegal_characters("newOrderRespType", "^(ACK|RESULT|FULL)$")
    return wanted


def _check_filters(call: Call, symbol: SymbolMarket, wish: NewOrder) -> None:
    rules = symbol.instrument
    average = average_of(call, symbol)
    if wish.type != "MARKET":
        filters.check_price(rules, wish.price, average)
    if wish.quote_quantity:
        filters.check_quote(rules, wish.quote_quantity)
        return
    filters.check_quantity(rules, wish.quantity, is_market=wish.type == "MARKET")
    filters.check_notional(rules, price=wish.price or average, quantity=wish.quantity)


def _on_book(call: Call, symbol: SymbolMarket, order_id: int | None, client_id: str | None) -> OrderRecord:
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
    return found


def _times(call: Call) -> tuple[int | None, int | None]:
    from_ms, until_ms = call.params.time_ms("startTime"), call.params.time_ms("endTime")
    if from_ms is not None and until_ms is not None and until_ms - from_ms > DAY_MS:
        raise ApiError(-1127, "More than 24 hours between startTime and endTime.")
    return from_ms, until_ms


def _all_holdings(call: Call) -> dict[str, Any]:
    """Return every asset of the venue, held or not."""
    for symbol in call.venue.market.symbols.values():
        call.account.holding(symbol.instrument.base)
        call.account.holding(symbol.instrument.quote)
    return call.account.holdings


def _rates() -> dict[str, str]:
    return {"maker": _RATE, "taker": _RATE, "buyer": text(0), "seller": text(0)}


def _discount() -> dict[str, Any]:
    return {
        "enabledForAccount": False,
        "enabledForSymbol": False,
        "discountAsset": "BNB",
        "discount": text(0),
    }


def own_id() -> str:
    """Return an id for who gave none."""
    return secrets.token_urlsafe(16)[:22]


ENDPOINTS = {
    ("POST", "order"): Endpoint(handle=place, weight=weight(1), is_signed=True, is_free=True),
    ("POST", "order/test"): Endpoint(
        handle=place_test, weight=weight_by("computeCommissionRates", given=20, absent=1), is_signed=True
    ),
    ("GET", "order"): Endpoint(handle=read_order, weight=weight(4), is_signed=True),
    ("DELETE", "order"): Endpoint(handle=cancel, weight=weight(1), is_signed=True, is_free=True),
    ("GET", "openOrders"): Endpoint(
        handle=open_orders, weight=weight_by("symbol", given=6, absent=80), is_signed=True
    ),
    ("DELETE", "openOrders"): Endpoint(handle=cancel_all, weight=weight(1), is_signed=True, is_free=True),
    ("GET", "allOrders"): Endpoint(handle=all_orders, weight=weight(20), is_signed=True),
    ("GET", "account"): Endpoint(handle=account, weight=weight(20), is_signed=True),
    ("GET", "account/commission"): Endpoint(handle=commission, weight=weight(20), is_signed=True),
    ("GET", "myTrades"): Endpoint(
        handle=my_trades, weight=weight_by("orderId", given=5, absent=20), is_signed=True
    ),
    ("GET", "rateLimit/order"): Endpoint(handle=order_counts, weight=weight(40), is_signed=True),
}
