"""Order lists and cancels in Binance's words, and what its answers to them mean.

Pure, and as careful as `translate` and `outcomes`: what is neither a definite yes nor a definite no is
unknown.

Source: Binance spot API, orderList/oco, orderList, cancel order.
"""

from decimal import Decimal

from botwarden.exchange import payloads
from botwarden.exchange.outcomes import refusal
from botwarden.exchange.payloads import Malformed, decode
from botwarden.exchange.port import FoundList, Unknown
from botwarden.exchange.translate import from_ms, plain
from botwarden.trading.bot import ZERO
from botwarden.trading.orders import (
    ListEnded,
    Order,
    OrderStatus,
    Rejected,
    Resting,
    stop_loss_id,
    take_profit_id,
)

#: Both legs are over, or only one of them goes on.
_DONE = "ALL_DONE"
_STANDS = "EXECUTING"


def list_parameters(order: Order) -> dict[str, str]:
    """Return the parameters of POST orderList/oco: a limit above the market, a market stop below it."""
    return {
        "symbol": order.symbol,
        "side": order.side.value,
        "quantity": plain(order.quantity_base or ZERO),
        "listClientOrderId": order.client_order_id,
        "aboveType": "LIMIT_MAKER",
        "abovePrice": plain(_price(order.take_profit_price)),
        "aboveClientOrderId": take_profit_id(order.client_order_id),
        "belowType": "STOP_LOSS",
        "belowStopPrice": plain(_price(order.stop_loss_price)),
        "belowClientOrderId": stop_loss_id(order.client_order_id),
        "newOrderRespType": "RESULT",
    }


def cancel_parameters(cancel: Order, listed: Order) -> dict[str, str]:
    """Return the parameters of DELETE order for the upper leg.

    Taking off one leg takes off the list, and the upper leg is the only one that can be executed in part
    and stay on the book, when the list itself counts as done already.
    """
    return {
        "symbol": listed.symbol,
        "origClientOrderId": take_profit_id(listed.client_order_id),
        "newClientOrderId": cancel.client_order_id,
    }


def list_outcome(order: Order, status: int, body: bytes) -> Resting | Rejected | Unknown:
    """Return what this whole answer to POST orderList/oco means."""
    if not 200 <= status < 300:
        return refusal(status, body)
    try:
        answer = decode(body, payloads.ListAnswer)
    except Malformed as malformed:
        return Unknown(message=f"accepted, but not to be read: {malformed}")
    if (answer.list_client_order_id, answer.symbol) != (order.client_order_id, order.symbol):
        return Unknown(message="the answer is about another list")
    if answer.list_order_status != _STANDS:
        return Unknown(message=f"the list does not stand: {answer.list_order_status[:40]}")
    return Resting(venue_list_id=answer.order_list_id)


def cancel_outcome(listed: Order, status: int, body: bytes) -> ListEnded | Rejected | Unknown:
    """Return what this whole answer to DELETE order of the upper leg means for the list."""
    if not 200 <= status < 300:
        return refusal(status, body)
    try:
        answer = decode(body, payloads.CancelAnswer)
    except Malformed as malformed:
        return Unknown(message=f"cancelled, but not to be read: {malformed}")
    ours = (take_profit_id(listed.client_order_id), "CANCELED", ZERO)
    if (answer.orig_client_order_id, answer.status, answer.executed_qty) != ours:
        return Unknown(message="cancelled; what was executed is to be asked")
    # The lower leg has not triggered: then the upper one could not have been taken off.
    return ListEnded(
        venue_list_id=answer.order_list_id, status=OrderStatus.CANCELLED, take_profit=(), stop_loss=()
    )


def list_record(body: bytes) -> FoundList:
    """Return the venue's record of a list."""
    record = decode(body, payloads.ListAnswer)
    return FoundList(
        venue_list_id=record.order_list_id,
        list_client_id=record.list_client_order_id,
        symbol=record.symbol,
        is_done=record.list_order_status == _DONE,
        created_at=from_ms(record.transaction_time),
    )


def _price(price: Decimal | None) -> Decimal:
    if price is None:
        raise ValueError("an order list has two prices")
    return price
