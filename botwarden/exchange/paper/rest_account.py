"""The signed endpoints that only read: orders, executions, balances, commissions, counts.

Source: Binance spot API, account endpoints.
"""

from typing import Any

from botwarden.exchange.paper import errors, records
from botwarden.exchange.paper.amounts import text
from botwarden.exchange.paper.calls import Call, Endpoint, weight, weight_by
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.fees import BURNED, DISCOUNT, RATE, can_burn
from botwarden.exchange.paper.limits import interval_of
from botwarden.exchange.paper.market import SymbolMarket
from botwarden.exchange.paper.matching import COMMISSION_BPS
from botwarden.exchange.paper.times import DAY_MS


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
    from_ms, until_ms = read_times(call)
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
    from_ms, until_ms = read_times(call)
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
    rates_shown = rates()
    holder = call.account
    return {
        "makerCommission": COMMISSION_BPS,
        "takerCommission": COMMISSION_BPS,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": rates_shown,
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
    return {
        "symbol": symbol.instrument.symbol,
        "standardCommission": rates(),
        "specialCommission": records.no_commission(),
        "taxCommission": records.no_commission(),
        "discount": discount(call, symbol),
    }


async def trade_fees(call: Call) -> Any:
    """GET asset/tradeFee: what is kept of a trade, for one symbol or for all."""
    wanted = [call.symbol()] if call.params.has("symbol") else call.venue.market.symbols.values()
    call.params.finish()
    return [
        {"symbol": symbol.instrument.symbol, "makerCommission": RATE, "takerCommission": RATE}
        for symbol in wanted
    ]


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


async def burning(call: Call) -> Any:
    """GET bnbBurn: whether commissions are paid in BNB."""
    call.params.finish()
    return {"spotBNBBurn": call.account.burns_bnb, "interestBNBBurn": False}


async def burn(call: Call) -> Any:
    """POST bnbBurn: pay commissions in BNB from now on, or no longer."""
    burns = call.params.flag("spotBNBBurn", default=call.account.burns_bnb)
    call.params.ignore("interestBNBBurn")
    call.params.finish()
    call.check_time()
    call.venue.engine.burn_bnb(call.account, burns=burns)
    return {"spotBNBBurn": burns, "interestBNBBurn": False}


def read_times(call: Call) -> tuple[int | None, int | None]:
    """Return the bounds of what is asked for."""
    from_ms, until_ms = call.params.time_ms("startTime"), call.params.time_ms("endTime")
    if from_ms is not None and until_ms is not None and until_ms - from_ms > DAY_MS:
        raise ApiError(-1127, "More than 24 hours between startTime and endTime.")
    return from_ms, until_ms


def rates() -> dict[str, str]:
    """Return the plain commission."""
    return {"maker": RATE, "taker": RATE, "buyer": text(0), "seller": text(0)}


def discount(call: Call, symbol: SymbolMarket) -> dict[str, Any]:
    """Return what paying in BNB saves, and whether it is possible."""
    return {
        "enabledForAccount": call.account.burns_bnb,
        "enabledForSymbol": can_burn(call.venue.market, symbol.instrument),
        "discountAsset": BURNED,
        "discount": DISCOUNT,
    }


def _all_holdings(call: Call) -> dict[str, Any]:
    """Return every asset of the venue, held or not."""
    for symbol in call.venue.market.symbols.values():
        call.account.holding(symbol.instrument.base)
        call.account.holding(symbol.instrument.quote)
    return call.account.holdings


ENDPOINTS = {
    ("GET", "order"): Endpoint(handle=read_order, weight=weight(4), is_signed=True),
    ("GET", "openOrders"): Endpoint(
        handle=open_orders, weight=weight_by("symbol", given=6, absent=80), is_signed=True
    ),
    ("GET", "allOrders"): Endpoint(handle=all_orders, weight=weight(20), is_signed=True),
    ("GET", "account"): Endpoint(handle=account, weight=weight(20), is_signed=True),
    ("GET", "account/commission"): Endpoint(handle=commission, weight=weight(20), is_signed=True),
    ("GET", "myTrades"): Endpoint(
        handle=my_trades, weight=weight_by("orderId", given=5, absent=20), is_signed=True
    ),
    ("GET", "rateLimit/order"): Endpoint(handle=order_counts, weight=weight(40), is_signed=True),
}

#: Below another path than the rest. Source: Binance wallet API, toggle BNB burn, trade fee.
SETTINGS = {
    ("GET", "bnbBurn"): Endpoint(handle=burning, weight=weight(1), is_signed=True),
    ("POST", "bnbBurn"): Endpoint(handle=burn, weight=weight(1), is_signed=True),
    ("GET", "asset/tradeFee"): Endpoint(handle=trade_fees, weight=weight(1), is_signed=True),
}
