"""What the venue refuses, with which code and status, over the wire."""

import time
from typing import Any

import pytest

from botwarden.exchange.paper.security import sign
from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import KEY, SECRET, House, signed

pytestmark = pytest.mark.anyio


def now_ms() -> int:
    """The wall clock."""
    return time.time_ns() // 1_000_000


@pytest.mark.parametrize(
    ("wish", "code", "text"),
    [
        ({"symbol": "NOPEUSDT"}, -1121, "Invalid symbol"),
        ({"symbol": None}, -1102, "'symbol'"),
        ({"symbol": "btcusdt"}, -1100, "'symbol'"),
        ({"side": "HOLD"}, -1117, "Invalid side"),
        ({"type": "STOP"}, -1116, "Invalid orderType"),
        ({"type": "STOP_LOSS"}, -1102, "'stopPrice' or 'trailingDelta'"),
        ({"type": "STOP_LOSS", "trailingDelta": "100"}, -2010, "Trailing stop orders"),
        ({"type": "STOP_LOSS", "stopPrice": "0"}, -1013, "Invalid price"),
        ({"type": "STOP_LOSS", "stopPrice": "1000000000"}, -1013, "PRICE_FILTER"),
        ({"type": "STOP_LOSS", "stopPrice": "99000.001"}, -1013, "PRICE_FILTER"),
        ({"type": "STOP_LOSS", "stopPrice": "30000"}, -2010, "trigger immediately"),
        ({"type": "TAKE_PROFIT", "stopPrice": "99000"}, -2010, "trigger immediately"),
        ({"type": "STOP_LOSS", "stopPrice": "99000", "price": "1"}, -1106, "'price'"),
        ({"type": "STOP_LOSS", "stopPrice": "99000", "timeInForce": "GTC"}, -1106, "'timeInForce'"),
        ({"type": "STOP_LOSS", "stopPrice": "99000", "quantity": "8999"}, -1013, "MARKET_LOT_SIZE"),
        ({"type": "STOP_LOSS", "stopPrice": "99000", "quantity": "2"}, -2010, "insufficient balance"),
        ({"type": "STOP_LOSS_LIMIT", "stopPrice": "99000", "price": "99000"}, -1102, "'timeInForce'"),
        ({"type": "TAKE_PROFIT_LIMIT", "stopPrice": "30000", "timeInForce": "GTC"}, -1102, "'price'"),
        ({"stopPrice": "1"}, -1106, "'stopPrice' sent when not required"),
        ({"strategyType": "999999"}, -1134, "'strategyType'"),
        ({"selfTradePreventionMode": "EXPIRE_TAKER"}, -2010, "self-trade prevention"),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "90000", "quantity": "101"}, -1013, "NOTIONAL"),
        ({"quantity": None}, -1102, "'quantity' or 'quoteOrderQty'"),
        ({"quantity": "1", "quoteOrderQty": "10"}, -1128, "Combination"),
        ({"quantity": "1e-05"}, -1100, "Illegal characters found in parameter 'quantity'"),
        ({"quantity": "-1"}, -1100, "'quantity'"),
        ({"quantity": "0.123456789"}, -1111, "'quantity' has too much precision"),
        ({"quantity": ""}, -1105, "'quantity' was empty"),
        ({"quantity": "0"}, -1013, "Invalid quantity"),
        ({"quantity": "0.000001"}, -1013, "LOT_SIZE"),
        ({"quantity": "0.001001"}, -1013, "LOT_SIZE"),
        ({"quantity": "99999999"}, -1013, "LOT_SIZE"),
        ({"quantity": "8999"}, -1013, "MARKET_LOT_SIZE"),
        ({"quantity": "0.00001"}, -1013, "NOTIONAL"),
        ({"quoteOrderQty": "4.99"}, -1013, "NOTIONAL"),
        ({"quoteOrderQty": "0"}, -1013, "Invalid quantity"),
        ({"quantity": "50"}, -2010, "insufficient balance"),
        ({"quoteOrderQty": "100000.01"}, -2010, "insufficient balance"),
        ({"side": "SELL"}, -2010, "insufficient balance"),
        ({"timeInForce": "GTC"}, -1106, "'timeInForce' sent when not required"),
        ({"price": "1"}, -1106, "'price' sent when not required"),
        ({"newClientOrderId": "a b"}, -1100, "'newClientOrderId'"),
        ({"newClientOrderId": "x" * 37}, -1100, "'newClientOrderId'"),
        ({"newOrderRespType": "ALL"}, -1100, "'newOrderRespType'"),
        ({"icebergQty": "1"}, -1106, "'icebergQty' sent when not required"),
        ({"colour": "blue"}, -1104, "Not all sent parameters were read"),
        ({"type": "LIMIT"}, -1102, "'timeInForce'"),
        ({"type": "LIMIT", "timeInForce": "GTX", "price": "60000"}, -1115, "Invalid timeInForce"),
        ({"type": "LIMIT", "timeInForce": "GTC"}, -1102, "'price'"),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "0"}, -1013, "Invalid price"),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "60000.001"}, -1013, "PRICE_FILTER"),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "1000"}, -1013, "PERCENT_PRICE_BY_SIDE"),
        ({"type": "LIMIT_MAKER", "price": "99000"}, -2010, "immediately match"),
    ],
)  # fmt: skip
async def test_orders_that_are_refused(house: House, wish: dict[str, Any], code: int, text: str) -> None:
    """Each broken rule has its code; nothing has changed and the request costs its weight."""
    answer = await house.wire.order(**wish)
    assert (answer.status, answer.code) == (400, code)
    assert text in answer.body["msg"]
    assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "1"
    assert await house.free("USDT") == "100000.00000000"


@pytest.mark.parametrize(
    ("shift_ms", "more", "code"),
    [
        (-5100, {}, -1021),
        (2500, {}, -1021),
        (60_000, {}, -1021),
        (-5100, {"recvWindow": 6000}, 0),
        (-61_000, {"recvWindow": 60000}, -1021),
        (0, {"recvWindow": 60001}, -1131),
        (500, {}, 0),
    ],
)
async def test_time_stamps(house: House, shift_ms: int, more: dict[str, Any], code: int) -> None:
    """Too late and too early are both -1021, and nothing is executed."""
    answer = await house.wire.order(**more, timestamp=now_ms() + shift_ms)
    assert answer.code == code
    assert answer.status == (200 if code == 0 else 400)
    assert (await house.free("BTC") == "0.00000000") == (code != 0)


async def test_keys_and_signatures(house: House) -> None:
    """No key, an unknown key and a wrong signature are told apart, with the venue's statuses."""
    query = signed({"symbol": "BTCUSDT"})
    send = house.wire.send
    assert [(a.status, a.code) for a in [
        await send("GET", "account", query=signed({}), key=None),
        await send("GET", "account", query=signed({}), key="unknown"),
        await send("GET", "account", query=signed({}, secret="wrong")),
        await send("GET", "account", query=f"timestamp={now_ms()}"),
        await send("GET", "account", query=signed({}).replace("timestamp=", "x=1&timestamp=")),
        await send("GET", "openOrders", query=query),
    ]] == [(401, -2014), (401, -2015), (400, -1022), (400, -1102), (400, -1022), (200, 0)]  # fmt: skip


async def test_the_received_bytes_are_what_is_signed(house: House) -> None:
    """An encoded character is signed as it travels: encoded."""
    for sent in ("origClientOrderId=a%2Db", "origClientOrderId=a-b", "origClientOrderId=%61-b"):
        payload = f"symbol=BTCUSDT&{sent}&timestamp={now_ms()}"
        query = f"{payload}&signature={sign(SECRET, payload.encode())}"
        assert (await house.wire.send("GET", "order", query=query)).code == -2013
        decoded = payload.replace("%2D", "-").replace("%61", "a")
        query = f"{payload}&signature={sign(SECRET, decoded.encode())}"
        wanted = -2013 if decoded == payload else -1022
        assert (await house.wire.send("GET", "order", query=query)).code == wanted


async def test_parameters_travel_in_query_and_body(house: House) -> None:
    """Query string and body mix; on a conflict the query string wins; twice in one is refused."""
    query, body = "symbol=BTCUSDT&side=BUY&type=MARKET", f"side=SELL&quantity=0.001&timestamp={now_ms()}"
    signature = sign(SECRET, (query + body).encode())
    mixed = await house.wire.send("POST", "order", query=query, body=f"{body}&signature={signature}")
    assert (mixed.status, mixed.body["side"]) == (200, "BUY")
    twice = await house.wire.send("GET", "ticker/price", query="symbol=BTCUSDT&symbol=BTCUSDT")
    assert twice.code == -1101


async def test_weight_is_counted_and_limited(open_house: OpenHouse) -> None:
    """The header tells what a minute's requests cost; above the limit 429 with a pause, then a ban."""
    async with open_house(weight_limit=100) as house:
        house.venue.clock = Frozen(now_ms())
        first = await house.wire.send("GET", "depth", query="symbol=BTCUSDT")
        second = await house.wire.send("GET", "exchangeInfo")
        assert [a.headers["X-MBX-USED-WEIGHT-1M"] for a in (first, second)] == ["5", "25"]
        bought = await house.wire.order()
        assert bought.headers["X-MBX-USED-WEIGHT-1M"] == "25"
        for _ in range(3):
            await house.wire.send("GET", "trades", query="symbol=BTCUSDT")
        refused = await house.wire.send("GET", "trades", query="symbol=BTCUSDT")
        assert (refused.status, refused.code) == (429, -1003)
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        for _ in range(101):
            refused = await house.wire.send("GET", "ping")
        assert (refused.status, refused.code, refused.headers["Retry-After"]) == (418, -1003, "120")
        house.venue.clock = Frozen(house.venue.clock.now_ms() + 180_000)
        assert (await house.wire.send("GET", "ping")).status == 200


async def test_orders_are_counted(open_house: OpenHouse) -> None:
    """Resting orders count, filled ones give back; too many are 429 -1015 until the window turns."""
    async with open_house(order_limits={10: 3, 86_400: 1000}) as house:
        house.venue.clock = Frozen(now_ms() // 10_000 * 10_000 + 5000)
        rest = {
            "type": "LIMIT",
            "timeInForce": "GTC",
            "price": "50000",
            "timestamp": house.venue.clock.now_ms(),
        }
        at = {"timestamp": house.venue.clock.now_ms()}
        filled = await house.wire.order(**at)
        assert (filled.headers["X-MBX-ORDER-COUNT-10S"], filled.headers["X-MBX-ORDER-COUNT-1D"]) == ("0", "0")
        counts = [(await house.wire.order(**rest)).headers["X-MBX-ORDER-COUNT-10S"] for _ in range(3)]
        assert counts == ["1", "2", "3"]
        refused = await house.wire.order(**at)
        assert (refused.status, refused.code) == (429, -1015)
        assert refused.body["msg"] == "Too many new orders; current limit is 3 orders per 10 SECOND."
        assert refused.headers["Retry-After"] == "5"
        house.venue.clock = Frozen(house.venue.clock.now_ms() + 5000)
        assert (await house.wire.order(timestamp=house.venue.clock.now_ms())).status == 200


class Frozen:
    """A wall clock that stands."""

    def __init__(self, at_ms: int) -> None:
        self._at_ms = at_ms

    def now_ms(self) -> int:
        return self._at_ms

    def monotonic(self) -> float:
        return self._at_ms / 1000


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "userDataStream", 410), ("GET", "nothing", 404), ("PUT", "order", 405)],
)
async def test_what_is_not_there(house: House, method: str, path: str, status: int) -> None:
    """Unknown paths, and those the venue has removed, are answered in HTML like at the venue."""
    answer = await house.wire.send(method, path, key=KEY)
    assert answer.status == status
    assert answer.body.startswith("<html>")


async def test_order_ids_that_do_not_fit(house: House) -> None:
    """Orders that are not there, and ids that name different orders, have codes of their own."""
    placed = await house.wire.order(newClientOrderId="mine")
    order_id = placed.body["orderId"]
    ask, sent = house.wire.signed, {"symbol": "BTCUSDT"}
    assert [
        (await ask("GET", "order", **sent, orderId=order_id + 1)).code,
        (await ask("GET", "order", **sent)).code,
        (await ask("GET", "order", **sent, orderId=order_id, origClientOrderId="other")).code,
        (await ask("DELETE", "order", **sent, orderId=order_id)).code,
        (await ask("DELETE", "openOrders", **sent)).code,
        (await ask("GET", "myTrades", **sent, fromId=1, startTime=1)).code,
        (await ask("GET", "klines", **sent, interval="7m")).code,
    ] == [-2013, -1102, -2039, -2011, -2011, -1128, -1120]
