"""Order lists and cancels leave once, like any order, and every ending has its name."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from botwarden.errors import Unavailable
from botwarden.exchange import lists
from botwarden.exchange.account import BinanceAccount
from botwarden.exchange.payloads import Malformed
from botwarden.exchange.port import FoundList, NotFound, Unknown
from botwarden.trading.bot import BotId
from botwarden.trading.orders import (
    ListEnded,
    NeverSent,
    Order,
    OrderStatus,
    OrderType,
    Reason,
    Rejected,
    Resting,
    Side,
)
from tests.exchange.raw_venue import RawVenue, answer, half, reset

pytestmark = pytest.mark.anyio

OCO, ORDER, LIST = "/api/v3/orderList/oco", "/api/v3/order", "/api/v3/orderList"
LIST_ID = "bw-tag-1-2"


def a_list(**changes: Any) -> Order:
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "bot_id": BotId(1),
        "number": 2,
        "symbol": "BTCUSDT",
        "side": Side.SELL,
        "reason": Reason.PROTECTION,
        "quantity_base": Decimal("0.5"),
        "quantity_quote": None,
        "decided_price_quote": Decimal(100),
        "client_order_id": LIST_ID,
        "intended_at": now - timedelta(microseconds=now.microsecond % 1000),
        "type": OrderType.OCO,
        "take_profit_price": Decimal("110.00"),
        "stop_loss_price": Decimal("95.00"),
    }
    return Order(**fields | changes)


def a_cancel(**changes: Any) -> Order:
    nothing = dict.fromkeys(("quantity_base", "take_profit_price", "stop_loss_price"))
    fields = {"number": 3, "client_order_id": "bw-tag-1-3", "type": OrderType.CANCEL, "cancels_number": 2}
    return a_list(**nothing | fields | changes)


def list_answer(**changes: Any) -> dict[str, Any]:
    """Return what the venue says of a list that stands."""
    return {
        "orderListId": 7,
        "contingencyType": "OCO",
        "listStatusType": "EXEC_STARTED",
        "listOrderStatus": "EXECUTING",
        "listClientOrderId": LIST_ID,
        "transactionTime": 1_767_614_400_123,
        "symbol": "BTCUSDT",
        "orders": [
            {"symbol": "BTCUSDT", "orderId": 12, "clientOrderId": f"{LIST_ID}-s"},
            {"symbol": "BTCUSDT", "orderId": 13, "clientOrderId": f"{LIST_ID}-t"},
        ],
    } | changes


def cancel_answer(**changes: Any) -> dict[str, Any]:
    """Return what the venue says of a cancelled upper leg."""
    return {
        "symbol": "BTCUSDT",
        "origClientOrderId": f"{LIST_ID}-t",
        "orderId": 13,
        "orderListId": 7,
        "clientOrderId": "bw-tag-1-3",
        "transactTime": 1_767_614_400_123,
        "price": "110.00",
        "origQty": "0.50",
        "executedQty": "0.00",
        "cummulativeQuoteQty": "0.00",
        "status": "CANCELED",
        "timeInForce": "GTC",
        "type": "LIMIT_MAKER",
        "side": "SELL",
    } | changes


def error(code: int, message: str, status: int = 400) -> Any:
    return answer({"code": code, "msg": message}, status=status)


async def test_a_list_is_a_limit_above_and_a_market_stop_below(
    raw: RawVenue, account: BinanceAccount
) -> None:
    """Both legs and the list go under ids of ours, stamped with the intent's moment."""
    raw.next(OCO, answer(list_answer()))
    order = a_list()
    assert await account.place_list(order) == Resting(venue_list_id=7)
    [request] = raw.seen(OCO)
    timing = {"timestamp": str(int(order.intended_at.timestamp() * 1000)), "recvWindow": "5000"}
    del request.form["signature"]
    assert request.form == timing | {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.5",
        "listClientOrderId": LIST_ID,
        "aboveType": "LIMIT_MAKER",
        "abovePrice": "110.00",
        "aboveClientOrderId": f"{LIST_ID}-t",
        "belowType": "STOP_LOSS",
        "belowStopPrice": "95.00",
        "belowClientOrderId": f"{LIST_ID}-s",
        "newOrderRespType": "RESULT",
    }


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS"),
        (-1013, "Filter failure: MAX_NUM_ORDER_LISTS"),
        (-2010, "Order would trigger immediately."),
        (-2010, "Account has insufficient balance for requested action."),
        (-1106, "Parameter sent when not required."),
    ],
)
async def test_a_definite_refusal_of_a_list(
    raw: RawVenue, account: BinanceAccount, code: int, message: str
) -> None:
    """The venue's own words, from the list of those that are believed."""
    raw.next(OCO, error(code, message))
    assert await account.place_list(a_list()) == Rejected(code=code, message=message)


@pytest.mark.parametrize(
    "doing",
    [
        reset,
        half(list_answer()),
        error(-1007, "Timeout waiting for response from backend server.", 504),
        error(-2010, "Duplicate order sent."),
        answer("<html>", status=403),
        answer(list_answer(listClientOrderId="another")),
        answer(list_answer(symbol="ETHUSDT")),
        answer(list_answer(listOrderStatus="ALL_DONE")),
        answer(list_answer(listOrderStatus="REJECT")),
        answer({"orderListId": "x"}),
    ],
)
async def test_a_list_of_which_nothing_is_certain_is_unknown(
    raw: RawVenue, account: BinanceAccount, doing: Any
) -> None:
    """It may stand: it is asked about, and the request went out once."""
    raw.next(OCO, doing)
    assert isinstance(await account.place_list(a_list()), Unknown)
    assert len(raw.seen(OCO)) == 1


async def test_a_list_that_is_too_old_is_never_sent(raw: RawVenue, account: BinanceAccount) -> None:
    """Half the window is over: not one byte leaves, of a cancel neither."""
    old = datetime.now(UTC) - timedelta(seconds=3)
    assert isinstance(await account.place_list(a_list(intended_at=old)), NeverSent)
    assert isinstance(await account.cancel_list(a_cancel(intended_at=old), a_list()), NeverSent)
    assert raw.seen(OCO) == raw.seen(ORDER) == []


async def test_a_cancel_takes_off_the_upper_leg(raw: RawVenue, account: BinanceAccount) -> None:
    """With it the list goes; nothing was executed, and nothing more has to be asked."""
    raw.next(ORDER, answer(cancel_answer()))
    cancel = a_cancel()
    assert await account.cancel_list(cancel, a_list()) == ListEnded(
        venue_list_id=7, status=OrderStatus.CANCELLED, take_profit=(), stop_loss=()
    )
    [request] = raw.seen(ORDER)
    sent = request.query | request.form
    assert request.method == "DELETE"
    assert sent["origClientOrderId"] == f"{LIST_ID}-t"
    assert sent["newClientOrderId"] == "bw-tag-1-3"
    assert sent["timestamp"] == str(int(cancel.intended_at.timestamp() * 1000))


@pytest.mark.parametrize(
    "doing",
    [
        error(-2011, "Unknown order sent."),
        error(-1007, "Timeout waiting for response from backend server.", 504),
        answer(cancel_answer(executedQty="0.10")),
        answer(cancel_answer(status="FILLED", executedQty="0.50")),
        answer(cancel_answer(origClientOrderId="another")),
        answer(list_answer()),
        half(cancel_answer()),
    ],
)
async def test_a_cancel_that_may_have_come_too_late_is_asked_about(
    raw: RawVenue, account: BinanceAccount, doing: Any
) -> None:
    """A leg may have been executed, wholly or in part: only the venue's records tell."""
    raw.next(ORDER, doing)
    assert isinstance(await account.cancel_list(a_cancel(), a_list()), Unknown)


async def test_a_cancel_may_be_refused(raw: RawVenue, account: BinanceAccount) -> None:
    """Too many requests: the cancel has certainly done nothing."""
    raw.next(ORDER, error(-1003, "Too much request weight used.", 429))
    assert isinstance(await account.cancel_list(a_cancel(), a_list()), Rejected)


@pytest.mark.parametrize(("status", "is_done"), [("EXECUTING", False), ("ALL_DONE", True)])
async def test_a_list_is_found_by_our_id(
    raw: RawVenue, account: BinanceAccount, status: str, is_done: bool
) -> None:
    """The record says whether it still stands."""
    raw.next(LIST, answer(list_answer(listOrderStatus=status)))
    assert await account.find_list(LIST_ID) == FoundList(
        venue_list_id=7,
        list_client_id=LIST_ID,
        symbol="BTCUSDT",
        is_done=is_done,
        created_at=datetime(2026, 1, 5, 12, 0, 0, 123_000, tzinfo=UTC),
    )
    assert raw.seen(LIST)[0].query["origClientOrderId"] == LIST_ID


@pytest.mark.parametrize("code", [-2013, -2011])
async def test_a_list_that_the_venue_does_not_know(raw: RawVenue, account: BinanceAccount, code: int) -> None:
    """Not there, or not there yet; every other refusal is no answer."""
    raw.next(LIST, error(code, "Order list does not exist."))
    assert await account.find_list(LIST_ID) == NotFound()
    raw.next(LIST, error(-1000, "An unknown error occurred."))
    with pytest.raises(Unavailable):
        await account.find_list(LIST_ID)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"orderListId":1e999}', b"\xff"])
def test_broken_answers_about_lists(body: bytes) -> None:
    """Whatever bytes come: unknown, or malformed, and never an error of another kind."""
    assert isinstance(lists.list_outcome(a_list(), 200, body), Unknown)
    assert isinstance(lists.cancel_outcome(a_list(), 200, body), Unknown)
    with pytest.raises(Malformed):
        lists.list_record(body)


def test_what_is_no_list_cannot_be_sent_as_one() -> None:
    """A list without prices is a bug, not a request."""
    with pytest.raises(ValueError, match="two prices"):
        lists.list_parameters(a_cancel())
