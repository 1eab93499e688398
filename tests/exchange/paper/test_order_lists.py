"""The unmodified python-binance protects a position with an order list over a real server."""

from decimal import Decimal
from typing import Any

import pytest
from binance.exceptions import BinanceAPIException

from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import House, price_of, say

pytestmark = pytest.mark.anyio

BOUGHT, LISTED = "0.05", "0.04"


async def protect(house: House, **changes: Any) -> dict[str, Any]:
    """Offer what was bought two per cent above and below the price."""
    price = price_of(house)
    wish = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": LISTED,
        "aboveType": "LIMIT_MAKER",
        "abovePrice": f"{price * Decimal('1.02'):.2f}",
        "aboveClientOrderId": "list-t",
        "belowType": "STOP_LOSS",
        "belowStopPrice": f"{price * Decimal('0.98'):.2f}",
        "belowClientOrderId": "list-s",
        "listClientOrderId": "list",
    }
    sent = {name: value for name, value in (wish | changes).items() if value is not None}
    answer: dict[str, Any] = await house.client.create_oco_order(**sent)
    return answer


async def read_list(house: House) -> Any:
    answer = await house.wire.signed("GET", "orderList", origClientOrderId="list")
    assert answer.status == 200
    return answer.body


async def legs(house: House) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the upper and the lower leg."""
    read = house.client.get_order
    return (
        await read(symbol="BTCUSDT", origClientOrderId="list-t"),
        await read(symbol="BTCUSDT", origClientOrderId="list-s"),
    )


async def balance(house: House) -> tuple[str, str]:
    """Return free and locked BTC."""
    [held] = [it for it in (await house.client.get_account())["balances"] if it["asset"] == "BTC"]
    return held["free"], held["locked"]


@pytest.fixture
async def holder(house: House) -> House:
    """A house whose account has bought."""
    await house.client.order_market_buy(symbol="BTCUSDT", quantity=BOUGHT)
    return house


async def test_both_legs_stand_and_lock_the_coins_once(holder: House) -> None:
    """The list executes, the stop does not work yet, and one size is set aside for both."""
    answer = await protect(holder)
    assert (answer["contingencyType"], answer["listOrderStatus"]) == ("OCO", "EXECUTING")
    assert {leg["clientOrderId"] for leg in answer["orders"]} == {"list-t", "list-s"}
    assert {report["type"] for report in answer["orderReports"]} == {"LIMIT_MAKER", "STOP_LOSS"}
    above, below = await legs(holder)
    assert (above["status"], below["status"]) == ("NEW", "NEW")
    assert (above["isWorking"], below["isWorking"], below["workingTime"]) == (True, False, -1)
    assert above["orderListId"] == below["orderListId"] == answer["orderListId"]
    assert await balance(holder) == ("0.00995000", "0.04000000")
    assert (await read_list(holder))["listOrderStatus"] == "EXECUTING"
    assert [found["listClientOrderId"] for found in await holder.client.get_open_oco_orders()] == ["list"]


async def test_a_price_above_sells_at_the_limit_and_ends_the_stop(holder: House) -> None:
    """The limit is filled as a maker; the stop expires because of it."""
    await protect(holder)
    say(holder, price_of(holder) * 103 / 100)
    above, below = await legs(holder)
    assert (above["status"], below["status"]) == ("FILLED", "EXPIRED")
    assert below["expiryReason"] == "OCO_TRIGGER"
    assert (await read_list(holder))["listOrderStatus"] == "ALL_DONE"
    assert await balance(holder) == ("0.00995000", "0.00000000")


async def test_a_price_below_sells_at_market_and_ends_the_limit(holder: House) -> None:
    """The stop takes what the book has then, never more than was set aside."""
    await protect(holder)
    stop = Decimal((await legs(holder))[1]["stopPrice"])
    say(holder, price_of(holder) * 97 / 100)
    above, below = await legs(holder)
    assert (above["status"], below["status"], above["expiryReason"]) == ("EXPIRED", "FILLED", "OCO_TRIGGER")
    trades = await holder.client.get_my_trades(symbol="BTCUSDT", orderId=below["orderId"])
    assert sum(Decimal(trade["qty"]) for trade in trades) == Decimal(LISTED)
    assert all(Decimal(trade["price"]) < stop for trade in trades)
    assert await balance(holder) == ("0.00995000", "0.00000000")
    say(holder, price_of(holder) * 120 / 100)
    assert (await legs(holder))[0]["executedQty"] == "0.00000000"


@pytest.mark.parametrize("by", ["list", "list-t", "list-s"])
async def test_whoever_cancels_one_cancels_all(holder: House, by: str) -> None:
    """By the list's id or either leg's: both legs go, once, and the coins are free."""
    await protect(holder)
    path, name = ("orderList", "listClientOrderId") if by == "list" else ("order", "origClientOrderId")
    wish = {"symbol": "BTCUSDT", name: by, "newClientOrderId": "cancel"}
    answer = await holder.wire.signed("DELETE", path, **wish)
    assert answer.status == 200
    assert [leg["status"] for leg in await legs(holder)] == ["CANCELED", "CANCELED"]
    assert await balance(holder) == ("0.04995000", "0.00000000")
    again = await holder.wire.signed("DELETE", path, **wish)
    assert (again.status, again.code) == (400, -2011)
    assert (await read_list(holder))["listOrderStatus"] == "ALL_DONE"


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"quantity": "0.06"}, -2010, "insufficient balance"),
        ({"belowStopPrice": "0.001"}, -1013, "PRICE_FILTER"),
        ({"abovePrice": "400000.00"}, -1013, "PERCENT_PRICE"),
        ({"quantity": "0.00001"}, -1013, "NOTIONAL"),
        ({"quantity": "0.0000001"}, -1013, "LOT_SIZE"),
        ({"belowStopPrice": "110000.00", "abovePrice": "109000.00"}, -2010, "relationship"),
        ({"abovePrice": "30000.00", "belowStopPrice": "29000.00"}, -2010, "immediately match"),
        ({"abovePrice": "110000.00", "belowStopPrice": "100000.00"}, -2010, "trigger immediately"),
        ({"belowType": "STOP_LOSS_LIMIT"}, -1102, "'belowTimeInForce'"),
        ({"belowTrailingDelta": "100"}, -2010, "Trailing stop orders"),
        ({"belowType": "STOP_LOSS", "belowPrice": "1"}, -1106, "'belowPrice'"),
        ({"aboveType": "LIMIT"}, -1158, "not supported in OCO"),
        ({"belowType": "LIMIT_MAKER"}, -1168, "contingent"),
        ({"aboveType": "STOP_LOSS"}, -1197, "must be below"),
        ({"belowType": "TAKE_PROFIT"}, -1199, "must be above"),
        ({"aboveType": "TAKE_PROFIT", "belowType": "LIMIT_MAKER"}, -1166, "must be above"),
        ({"side": "BUY"}, -1165, "must be below"),
        ({"newOrderRespType": "ALL"}, -1100, "'newOrderRespType'"),
        ({"belowClientOrderId": "list-t"}, -2010, "Duplicate"),
    ],
)
async def test_refusals_change_nothing(
    holder: House, changes: dict[str, str], code: int, message: str
) -> None:
    """Filters and the engine say no to the list as a whole."""
    say(holder, Decimal(64_000))
    with pytest.raises(BinanceAPIException, match=message) as refused:
        await protect(holder, **changes)
    assert refused.value.code == code
    assert await holder.client.get_open_orders() == []
    assert await balance(holder) == ("0.04995000", "0.00000000")


async def test_the_sixth_stop_of_a_symbol_is_one_too_many(holder: House) -> None:
    """Source: Binance spot API, filter MAX_NUM_ALGO_ORDERS."""
    for number in range(5):
        ids = {name: f"{name}-{number}" for name in ("aboveClientOrderId", "belowClientOrderId")}
        await protect(holder, quantity="0.002", listClientOrderId=f"list-{number}", **ids)
    with pytest.raises(BinanceAPIException, match="MAX_NUM_ALGO_ORDERS") as refused:
        await protect(holder, quantity="0.002")
    assert refused.value.code == -1013


async def test_an_unknown_list(house: House) -> None:
    """It does not exist; nothing can be taken off; one of the ids has to be given."""
    answer = await house.wire.signed("GET", "orderList", origClientOrderId="nobody")
    assert (answer.status, answer.code) == (400, -2013)
    assert (await house.wire.signed("GET", "orderList")).code == -1102
    assert (await house.wire.signed("DELETE", "orderList", symbol="BTCUSDT", orderListId=7)).code == -2011


async def test_a_list_outlives_the_exchange(open_house: OpenHouse) -> None:
    """After a restart the legs stand as they did, and only one of them happens."""
    async with open_house() as house:
        await house.client.order_market_buy(symbol="BTCUSDT", quantity=BOUGHT)
        await protect(house)
    async with open_house() as house:
        assert (await read_list(house))["listOrderStatus"] == "EXECUTING"
        assert await balance(house) == ("0.00995000", "0.04000000")
        say(house, price_of(house) * 90 / 100)
        above, below = await legs(house)
        assert (above["status"], below["status"]) == ("EXPIRED", "FILLED")
        assert await balance(house) == ("0.00995000", "0.00000000")


async def test_a_part_of_the_limit_ends_the_stop_and_stays(holder: House) -> None:
    """The first fill of the limit ends the stop and the list; the rest works on alone."""
    answer = await protect(holder)
    limit = Decimal(next(leg["price"] for leg in answer["orderReports"] if leg["type"] == "LIMIT_MAKER"))
    say(holder, limit, quantity="0.01")
    above, below = await legs(holder)
    assert (above["status"], above["executedQty"]) == ("PARTIALLY_FILLED", "0.01000000")
    assert (below["status"], below["expiryReason"]) == ("EXPIRED", "OCO_TRIGGER")
    assert (await read_list(holder))["listOrderStatus"] == "ALL_DONE"
    assert await holder.client.get_open_oco_orders() == []
    assert await balance(holder) == ("0.00995000", "0.03000000")
    gone = await holder.client.cancel_order(symbol="BTCUSDT", origClientOrderId="list-t")
    assert (gone["status"], gone["executedQty"]) == ("CANCELED", "0.01000000")
    assert await balance(holder) == ("0.03995000", "0.00000000")


@pytest.mark.parametrize("falls", [True, False])
async def test_a_purchase_locks_what_the_dearer_leg_costs(house: House, *, falls: bool) -> None:
    """Two purchases of which one happens set aside once, for the dearer; what is left over is given back."""
    price = price_of(house)
    wish = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "quantity": "0.1",
        "aboveType": "STOP_LOSS_LIMIT",
        "aboveStopPrice": f"{price * Decimal('1.02'):.2f}",
        "abovePrice": f"{price * Decimal('1.04'):.2f}",
        "aboveTimeInForce": "GTC",
        "aboveClientOrderId": "up",
        "belowType": "LIMIT_MAKER",
        "belowPrice": f"{price * Decimal('0.98'):.2f}",
        "belowClientOrderId": "down",
    }
    await house.client.create_oco_order(**wish)
    usdt = await house.client.get_asset_balance("USDT")
    assert Decimal(usdt["locked"]) == Decimal(wish["abovePrice"]) / 10
    say(house, (price * (Decimal("0.97") if falls else Decimal("1.03"))).quantize(Decimal("0.01")))
    down, up = [await house.client.get_order(symbol="BTCUSDT", origClientOrderId=it) for it in ("down", "up")]
    assert (down["status"], up["status"]) == (("FILLED", "EXPIRED") if falls else ("EXPIRED", "FILLED"))
    usdt = await house.client.get_asset_balance("USDT")
    paid = Decimal((down if falls else up)["cummulativeQuoteQty"])
    assert (Decimal(usdt["free"]), Decimal(usdt["locked"])) == (100_000 - paid, 0)


async def test_the_old_way_to_place_a_list(holder: House) -> None:
    """The venue's earlier endpoint makes the same lists, with its own names."""
    price = price_of(holder)
    wish = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": LISTED,
        "price": f"{price * Decimal('1.02'):.2f}",
        "limitClientOrderId": "list-t",
        "stopPrice": f"{price * Decimal('0.98'):.2f}",
        "stopLimitPrice": f"{price * Decimal('0.97'):.2f}",
        "stopLimitTimeInForce": "GTC",
        "stopClientOrderId": "list-s",
        "listClientOrderId": "list",
        "newOrderRespType": "FULL",
    }
    answer = await holder.wire.signed("POST", "order/oco", **wish)
    assert [report["type"] for report in answer.body["orderReports"]] == ["STOP_LOSS_LIMIT", "LIMIT_MAKER"]
    assert [report["fills"] for report in answer.body["orderReports"]] == [[], []]
    say(holder, (price * Decimal("0.975")).quantize(Decimal("0.01")))
    assert [leg["status"] for leg in await legs(holder)] == ["EXPIRED", "FILLED"]
    assert (await read_list(holder))["listOrderStatus"] == "ALL_DONE"


async def test_profit_above_can_wait_too(holder: House) -> None:
    """A list of two orders that wait: the market order above sells when its price comes."""
    price = price_of(holder)
    await protect(
        holder, aboveType="TAKE_PROFIT", abovePrice=None, aboveStopPrice=f"{price * Decimal('1.02'):.2f}"
    )
    assert [leg["workingTime"] for leg in await legs(holder)] == [-1, -1]
    say(holder, (price * Decimal("1.03")).quantize(Decimal("0.01")))
    assert [leg["status"] for leg in await legs(holder)] == ["FILLED", "EXPIRED"]


async def test_ids_of_lists_are_unique_while_they_stand(holder: House) -> None:
    """A standing list's id is refused; once the list is done it may be used again."""
    await protect(holder, quantity="0.02")
    with pytest.raises(BinanceAPIException, match="Duplicate order sent") as refused:
        await protect(holder, quantity="0.02", aboveClientOrderId="other-t", belowClientOrderId="other-s")
    assert refused.value.code == -2010
    await holder.client.v3_delete_order_list(symbol="BTCUSDT", listClientOrderId="list")
    again = await protect(holder, quantity="0.02")
    newest = await read_list(holder)
    assert newest["orderListId"] == again["orderListId"]
    everything = await holder.client.v3_get_all_order_list()
    assert [it["listOrderStatus"] for it in everything] == ["ALL_DONE", "EXECUTING"]
    later = await holder.client.v3_get_all_order_list(fromId=again["orderListId"])
    assert [it["orderListId"] for it in later] == [again["orderListId"]]


async def test_cancelling_all_shows_lists_as_lists(holder: House) -> None:
    """One request takes orders and lists of a symbol off the book, and tells what it took."""
    await protect(holder)
    price = f"{price_of(holder) / 2:.2f}"
    await holder.client.order_limit_buy(symbol="BTCUSDT", quantity="0.01", price=price, newClientOrderId="x")
    gone = (await holder.wire.signed("DELETE", "openOrders", symbol="BTCUSDT")).body
    [listed] = [it for it in gone if "contingencyType" in it]
    assert (listed["listStatusType"], listed["listOrderStatus"]) == ("ALL_DONE", "ALL_DONE")
    assert [report["status"] for report in listed["orderReports"]] == ["CANCELED", "CANCELED"]
    assert [it["origClientOrderId"] for it in gone if "contingencyType" not in it] == ["x"]
    assert await holder.client.get_open_orders() == []


async def test_a_list_counts_as_two_orders(open_house: OpenHouse) -> None:
    """Where only one more order may be placed, a list may not; the first fill of a maker gives back."""
    async with open_house(order_limits={86_400: 3}) as house:
        await house.client.order_market_buy(symbol="BTCUSDT", quantity=BOUGHT)
        await protect(house)
        [count] = await house.client.get_current_order_count()
        assert count["count"] == 2
        with pytest.raises(BinanceAPIException, match="3 orders per 1 DAY") as refused:
            await protect(house, listClientOrderId="b", aboveClientOrderId="b-t", belowClientOrderId="b-s")
        assert (refused.value.code, refused.value.status_code) == (-1015, 429)
        say(house, price_of(house) * 103 / 100)
        [count] = await house.client.get_current_order_count()
        assert count["count"] == 0
