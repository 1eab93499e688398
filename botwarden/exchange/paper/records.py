"""Orders and trades as they are stored and shown. Amounts in units."""

from collections.abc import Sequence
from typing import Any

import msgspec

from botwarden.exchange.paper.amounts import text
from botwarden.exchange.paper.order_types import WORKS_AS

FINAL = frozenset({"FILLED", "CANCELED", "EXPIRED", "REJECTED", "EXPIRED_IN_MATCH"})


class OrderRecord(msgspec.Struct, kw_only=True):
    """One order."""

    symbol: str
    order_id: int
    account_id: int
    client_order_id: str
    side: str
    type: str
    time_in_force: str
    status: str
    price: int = 0
    quantity: int = 0
    #: Zero unless the order was sized in quote.
    quote_quantity: int = 0
    executed: int = 0
    executed_quote: int = 0
    #: What is set aside for the open rest: quote of a purchase, base of a sale.
    locked: int = 0
    created_ms: int
    updated_ms: int
    expiry_reason: str | None = None
    #: What a stop or profit order waits for; zero of every other order.
    stop_price: int = 0
    #: How much of it the book would show; zero: all of it.
    iceberg: int = 0
    #: When it was triggered; zero before, and of every other order.
    triggered_ms: int = 0
    #: The list that it is a leg of.
    list_id: int = -1
    #: What its owner calls the strategy that it belongs to.
    strategy_id: int | None = None
    strategy_type: int | None = None

    @property
    def is_buy(self) -> bool:
        """Whether it buys the base asset."""
        return self.side == "BUY"

    @property
    def waits(self) -> bool:
        """Whether it waits for its stop price."""
        return self.is_open and self.type in WORKS_AS and not self.triggered_ms

    @property
    def works_as(self) -> str:
        """The type that it has on the book."""
        return WORKS_AS.get(self.type, self.type)

    @property
    def rest(self) -> int:
        """What is not executed yet."""
        return self.quantity - self.executed

    @property
    def working_ms(self) -> int:
        """Since when it has been on the book; -1 if it never was."""
        return (self.triggered_ms or -1) if self.type in WORKS_AS else self.created_ms

    @property
    def is_open(self) -> bool:
        """Whether it may still be filled."""
        return self.status not in FINAL


class ListRecord(msgspec.Struct, kw_only=True, frozen=True):
    """Two orders of which only one happens; how it stands follows from its legs."""

    list_id: int
    account_id: int
    client_list_id: str
    symbol: str
    order_ids: tuple[int, int]
    created_ms: int


class TradeRecord(msgspec.Struct, kw_only=True, frozen=True):
    """One execution of an account's order."""

    symbol: str
    trade_id: int
    order_id: int
    account_id: int
    price: int
    quantity: int
    quote_quantity: int
    commission: int
    commission_asset: str
    time_ms: int
    is_buyer: bool
    is_maker: bool
    list_id: int = -1


def shown_order(order: OrderRecord) -> dict[str, Any]:
    """Return an order as GET order shows it."""
    shown: dict[str, Any] = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_order_id,
        **_result(order),
        "stopPrice": text(order.stop_price),
        "icebergQty": text(order.iceberg),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": order.working_ms >= 0,
        "workingTime": order.working_ms,
        "origQuoteOrderQty": text(order.quote_quantity),
        "selfTradePreventionMode": "NONE",
    }
    return shown | _only_if_there(order)


def shown_ack(order: OrderRecord) -> dict[str, Any]:
    """Return the shortest answer to POST order."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_order_id,
        "transactTime": order.updated_ms,
    }


def shown_result(order: OrderRecord) -> dict[str, Any]:
    """Return the answer to POST order without fills."""
    shown = {
        **shown_ack(order),
        **_result(order),
        "origQuoteOrderQty": text(order.quote_quantity),
        "workingTime": order.working_ms,
        "selfTradePreventionMode": "NONE",
    }
    if order.stop_price:
        shown["stopPrice"] = text(order.stop_price)
    if order.iceberg:
        shown["icebergQty"] = text(order.iceberg)
    return shown | _only_if_there(order)


def shown_list(listed: ListRecord, legs: Sequence[OrderRecord]) -> dict[str, Any]:
    """Return a list as GET orderList shows it; it is done as soon as one leg is over."""
    stands = all(leg.is_open for leg in legs)
    return {
        "orderListId": listed.list_id,
        "contingencyType": "OCO",
        "listStatusType": "EXEC_STARTED" if stands else "ALL_DONE",
        "listOrderStatus": "EXECUTING" if stands else "ALL_DONE",
        "listClientOrderId": listed.client_list_id,
        "transactionTime": listed.created_ms,
        "symbol": listed.symbol,
        "orders": [
            {"symbol": leg.symbol, "orderId": leg.order_id, "clientOrderId": leg.client_order_id}
            for leg in legs
        ],
    }


def shown_full(order: OrderRecord, trades: list[TradeRecord]) -> dict[str, Any]:
    """Return the whole answer to POST order."""
    return {
        **shown_result(order),
        "fills": [
            {
                "price": text(trade.price),
                "qty": text(trade.quantity),
                "commission": text(trade.commission),
                "commissionAsset": trade.commission_asset,
                "tradeId": trade.trade_id,
            }
            for trade in trades
        ],
    }


def shown_new(order: OrderRecord, trades: list[TradeRecord], response: str) -> dict[str, Any]:
    """Return the answer to POST order that was asked for: ACK, RESULT or FULL."""
    if response == "ACK":
        return shown_ack(order)
    return shown_full(order, trades) if response == "FULL" else shown_result(order)


def no_commission() -> dict[str, str]:
    """Return commissions of nothing, as the venue lists those that it has and does not take."""
    return dict.fromkeys(("maker", "taker", "buyer", "seller"), text(0))


def shown_cancel(order: OrderRecord, cancel_id: str) -> dict[str, Any]:
    """Return the answer to a cancel: the order's own id is the original one."""
    return {
        **shown_result(order),
        "origClientOrderId": order.client_order_id,
        "clientOrderId": cancel_id,
    }


def shown_trade(trade: TradeRecord) -> dict[str, Any]:
    """Return an execution as GET myTrades shows it."""
    return {
        "symbol": trade.symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "orderListId": trade.list_id,
        "price": text(trade.price),
        "qty": text(trade.quantity),
        "quoteQty": text(trade.quote_quantity),
        "commission": text(trade.commission),
        "commissionAsset": trade.commission_asset,
        "time": trade.time_ms,
        "isBuyer": trade.is_buyer,
        "isMaker": trade.is_maker,
        "isBestMatch": True,
    }


def _only_if_there(order: OrderRecord) -> dict[str, Any]:
    fields = {
        "strategyId": order.strategy_id,
        "strategyType": order.strategy_type,
        "expiryReason": order.expiry_reason,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _result(order: OrderRecord) -> dict[str, Any]:
    return {
        "price": text(order.price),
        "origQty": text(order.quantity),
        "executedQty": text(order.executed),
        "cummulativeQuoteQty": text(order.executed_quote),
        "status": order.status,
        "timeInForce": order.time_in_force,
        "type": order.type,
        "side": order.side,
    }
