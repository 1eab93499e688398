"""One request that cancels an order and places another: the unmodified python-binance sends it."""

from decimal import Decimal
from typing import Any

import pytest

from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import Answered, House, price_of

pytestmark = pytest.mark.anyio


async def rest(house: House, name: str, *, at: str = "0.9", quantity: str = "0.1") -> dict[str, Any]:
    """Put a purchase on the book."""
    price = f"{price_of(house) * Decimal(at):.2f}"
    placed: dict[str, Any] = await house.client.order_limit_buy(
        symbol="BTCUSDT", quantity=quantity, price=price, newClientOrderId=name
    )
    return placed


async def replace(house: House, old: str, **more: Any) -> Answered:
    """Cancel one and place another, which cannot be paid if it is too large."""
    wish = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.1",
        "price": f"{price_of(house) * Decimal('0.8'):.2f}",
        "newClientOrderId": "new",
        "cancelReplaceMode": "STOP_ON_FAILURE",
        "cancelOrigClientOrderId": old,
        "cancelNewClientOrderId": "cancel",
    }
    return await house.wire.signed("POST", "order/cancelReplace", **wish | more)


async def on_book(house: House) -> list[str]:
    return [order["clientOrderId"] for order in await house.client.get_open_orders()]


async def test_both_go_well(house: House) -> None:
    """The old one is off the book, and the new one on it."""
    placed = await rest(house, "old")
    answer = await house.client.cancel_replace_order(
        symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01",
        cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=placed["orderId"], newClientOrderId="new",
    )  # fmt: skip
    assert (answer["cancelResult"], answer["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert answer["cancelResponse"]["origClientOrderId"] == "old"
    assert (answer["newOrderResponse"]["clientOrderId"], answer["newOrderResponse"]["status"]) == (
        "new", "FILLED",
    )  # fmt: skip
    assert await on_book(house) == []


async def test_nothing_to_cancel_stops_it(house: House) -> None:
    """Without an order to cancel the new one is not attempted, and counts all the same."""
    answer = await replace(house, "nobody")
    assert (answer.status, answer.code) == (400, -2022)
    data = answer.body["data"]
    assert (data["cancelResult"], data["newOrderResult"]) == ("FAILURE", "NOT_ATTEMPTED")
    assert (data["cancelResponse"]["code"], data["newOrderResponse"]) == (-2011, None)
    assert await on_book(house) == []
    [count, _] = await house.client.get_current_order_count()
    assert count["count"] == 1


async def test_nothing_to_cancel_may_be_all_right(house: House) -> None:
    """Who allows failure gets the new order, and is told that only half of it went well."""
    answer = await replace(house, "nobody", cancelReplaceMode="ALLOW_FAILURE")
    assert (answer.status, answer.code) == (409, -2021)
    assert answer.body["data"]["newOrderResult"] == "SUCCESS"
    assert await on_book(house) == ["new"]


@pytest.mark.parametrize(
    ("old", "status", "code", "left"), [("old", 409, -2021, []), ("nobody", 400, -2022, ["old"])]
)
async def test_a_new_order_that_is_refused(
    house: House, old: str, status: int, code: int, left: list[str]
) -> None:
    """The old one is gone nevertheless if it was there; the answer holds what was said to the new one."""
    await rest(house, "old")
    answer = await replace(house, old, quantity="50", cancelReplaceMode="ALLOW_FAILURE")
    assert (answer.status, answer.code) == (status, code)
    assert answer.body["data"]["newOrderResponse"]["code"] == -2010
    assert await on_book(house) == left


async def test_rules_come_before_both(house: House) -> None:
    """A new order that breaks a filter leaves the old one where it is."""
    await rest(house, "old")
    answer = await replace(house, "old", quantity="0.000001")
    assert (answer.status, answer.code, answer.body["msg"]) == (400, -1013, "Filter failure: LOT_SIZE")
    assert (await replace(house, "old", cancelReplaceMode="MAYBE")).code == -1100
    assert (await replace(house, "old", cancelReplaceMode="")).code == -1102
    assert await on_book(house) == ["old"]


async def test_too_many_orders(open_house: OpenHouse) -> None:
    """With the limit used up nothing happens, or on request only the cancel."""
    async with open_house(order_limits={86_400: 1}) as house:
        await rest(house, "old")
        refused = await replace(house, "old")
        assert (refused.status, refused.code) == (429, -1015)
        assert await on_book(house) == ["old"]
        half = await replace(house, "old", orderRateLimitExceededMode="CANCEL_ONLY")
        assert (half.status, half.code) == (429, -2021)
        assert half.body["data"]["newOrderResponse"]["code"] == -1015
        assert await on_book(house) == []
