"""How much may be open, held and shown: icebergs, positions, and all symbols together."""

from typing import Any

import pytest

from botwarden.exchange.paper import filters
from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.records import OrderRecord
from tests.exchange.paper.house import TOKEN, House

pytestmark = pytest.mark.anyio

RESTING: dict[str, Any] = {"type": "LIMIT", "timeInForce": "GTC", "price": "50000.00", "quantity": "0.010"}


async def test_an_iceberg_is_kept_and_told(house: House) -> None:
    """What an order would show of itself is in its answer, in its record and among open orders."""
    placed = await house.wire.order(**RESTING, icebergQty="0.001", newOrderRespType="RESULT")
    (listed,) = await house.client.get_open_orders(symbol="BTCUSDT")
    assert placed.body["icebergQty"] == listed["icebergQty"] == "0.00100000"
    assert (await house.wire.order(**RESTING)).body.get("icebergQty") is None


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"icebergQty": "0.000001"}, -1013, "LOT_SIZE"),
        ({"icebergQty": "0.00005"}, -1013, "ICEBERG_PARTS"),
        ({"icebergQty": "0.001", "timeInForce": "IOC"}, -1106, "icebergQty"),
        ({"icebergQty": "x"}, -1100, "icebergQty"),
    ],
)
async def test_icebergs_that_may_not_be(
    house: House, changes: dict[str, str], code: int, message: str
) -> None:
    """The visible part is a size of its own, of an order that stays, in a hundred parts at most."""
    refused = await house.wire.order(**(RESTING | changes))
    assert (refused.code, message in refused.body["msg"]) == (code, True)


async def test_the_sixth_iceberg_of_a_symbol_is_one_too_many(house: House) -> None:
    """Source: Binance spot API, filter MAX_NUM_ICEBERG_ORDERS."""
    for _ in range(5):
        assert (await house.wire.order(**RESTING, icebergQty="0.001")).status == 200
    refused = await house.wire.order(**RESTING, icebergQty="0.001")
    assert refused.body == {"code": -1013, "msg": "Filter failure: MAX_NUM_ICEBERG_ORDERS"}
    assert (await house.wire.order(**RESTING)).status == 200


async def test_a_position_has_a_size(house: House) -> None:
    """What is held, what open purchases would bring and the new one together stay below MAX_POSITION."""
    async with PaperAdmin(house.origin, TOKEN) as admin:
        (shown,) = await admin.change_symbols("BTCUSDT", max_position="0.02")
        assert {"filterType": "MAX_POSITION", "maxPosition": "0.02000000"} in shown["filters"]
        assert (await house.wire.order(quantity="0.005")).status == 200
        assert (await house.wire.order(**RESTING)).status == 200
        refused = await house.wire.order(quantity="0.006")
        assert refused.body["msg"] == "Filter failure: MAX_POSITION"
        assert (await house.wire.order(side="SELL", quantity="0.004")).status == 200
        (shown,) = await admin.change_symbols("BTCUSDT", max_position="0")
        assert "MAX_POSITION" not in str(shown["filters"])
        assert (await house.wire.order(quantity="0.006")).status == 200


def a_stop(number: int, *, list_id: int = -1, kind: str = "STOP_LOSS") -> OrderRecord:
    """Return an open order."""
    return OrderRecord(
        symbol=f"COIN{number % 50}USDT",
        order_id=number,
        account_id=1,
        client_order_id=str(number),
        side="SELL",
        type=kind,
        time_in_force="GTC",
        status="NEW",
        quantity=1,
        created_ms=0,
        updated_ms=0,
        list_id=list_id,
    )


@pytest.mark.parametrize(
    ("orders", "adds", "name"),
    [
        ([a_stop(n, kind="LIMIT") for n in range(1000)], {"new": 1}, "EXCHANGE_MAX_NUM_ORDERS"),
        ([a_stop(n) for n in range(200)], {"stops": 1}, "EXCHANGE_MAX_NUM_ALGO_ORDERS"),
        ([a_stop(n, list_id=n) for n in range(200)], {"lists": 1}, "EXCHANGE_MAX_NUM_ORDER_LISTS"),
    ],
    ids=["orders", "stops", "lists"],
)
def test_all_symbols_together_have_limits(orders: list[OrderRecord], adds: dict[str, int], name: str) -> None:
    """One account's open orders on all symbols are counted as well, and the last one that fits is let in."""
    wish = {"new": 0, "stops": 0, "lists": 0} | adds
    filters.check_everywhere(orders[1:], **wish)
    with pytest.raises(ApiError, match=f"{name}$"):
        filters.check_everywhere(orders, **wish)


async def test_the_exchange_shows_its_own_filters(house: House) -> None:
    """Limits on all symbols together are in exchangeInfo, apart from those of each symbol."""
    info = await house.client.get_exchange_info()
    assert {one["filterType"] for one in info["exchangeFilters"]} == {
        "EXCHANGE_MAX_NUM_ORDERS",
        "EXCHANGE_MAX_NUM_ALGO_ORDERS",
        "EXCHANGE_MAX_NUM_ORDER_LISTS",
    }
