"""The WebSocket API: the same requests as by REST, sessions, and what faults do to them."""

import base64
import time
from typing import Any

import aiohttp
import anyio
import pytest
from binance.exceptions import BinanceAPIException, BinanceWebsocketClosed, BinanceWebsocketUnableToConnect
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.faults import ReadLag, RequestFault
from botwarden.exchange.paper.ws_methods import METHODS
from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import TOKEN, House, PythonBinance, price_of
from tests.exchange.paper.talk import Talk, talking, with_signature
from tests.exchange.paper.test_keys import public_pem

pytestmark = pytest.mark.anyio


# Requests ---------------------------------------------------------------------------------------------


async def test_answers_are_those_of_rest(house: House, talk: Talk) -> None:
    """A method answers what its REST twin answers, with the id as it was sent."""
    for method, path in (("exchangeInfo", "exchangeInfo"), ("depth", "depth"), ("klines", "klines")):
        params = {"symbol": "BTCUSDT"} | ({"interval": "1m", "limit": 3} if method == "klines" else {})
        said = await talk.ask(method, **params)
        query = "&".join(f"{name}={value}" for name, value in params.items())
        by_rest = (await house.wire.send("GET", path, query=query, key=None)).body
        assert said["status"] == 200
        assert type(said["result"]) is type(by_rest)
        if method == "exchangeInfo":
            assert said["result"]["symbols"] == by_rest["symbols"]
    for request_id in ("text", 7, None):
        await talk.socket.send_json({"id": request_id, "method": "ping"})
        assert (await talk.hear())["id"] == request_id


async def test_python_binance_trades_by_websocket(house: House, library: PythonBinance) -> None:
    """python-binance places, reads and cancels orders by its own WebSocket API client."""
    made = await library.ws_create_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.001")
    read = await library.ws_get_order(symbol="BTCUSDT", orderId=made["orderId"])
    assert (made["status"], read["status"]) == ("FILLED", "FILLED")
    price = str(int(price_of(house) * 9 / 10))
    resting = await library.ws_create_order(
        symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.001", price=price
    )
    assert [order["orderId"] for order in await library.ws_get_open_orders()] == [resting["orderId"]]
    cancelled = await library.ws_cancel_order(symbol="BTCUSDT", orderId=resting["orderId"])
    assert cancelled["status"] == "CANCELED"
    with pytest.raises(BinanceAPIException) as refused:
        await library.ws_create_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="100")
    assert refused.value.code == -2010


@pytest.mark.parametrize(
    ("raw", "code"),
    [("{", -1135), ("[1]", -1135), ('{"id":1,"params":{}}', -1135), ('{"id":1,"method":"order.eat"}', -1099)],
)
async def test_what_is_no_request_is_refused(talk: Talk, raw: str, code: int) -> None:
    """A message that is no request gets an error, and the connection goes on."""
    await talk.socket.send_str(raw)
    said = await talk.hear()
    assert (said["status"], said["error"]["code"]) == (400, code)
    assert (await talk.ask("ping"))["result"] == {}


async def test_who_signs_wrongly_is_refused(house: House, talk: Talk) -> None:
    """Key, time and signature are checked as by REST; parameters count in the order of their names."""
    good = with_signature({"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"})
    for change, status, code in (
        ({"quantity": "0.002"}, 400, -1022),
        ({"apiKey": "nobody"}, 401, -2015),
        ({"apiKey": "?"}, 401, -2014),
        ({"timestamp": good["timestamp"] - 60_000}, 400, -1021),
    ):
        said = await talk.ask("order.place", **(good | change))
        assert (said["status"], said["error"]["code"]) == (status, code)
    unsigned = {name: value for name, value in good.items() if name != "signature"}
    assert (await talk.ask("order.place", **unsigned))["error"]["code"] == -1102
    assert (await house.client.get_all_orders(symbol="BTCUSDT")) == []
    assert (await talk.ask("order.place", **dict(reversed(good.items()))))["status"] == 200


async def test_limits_are_told_and_shared_with_rest(house: House, talk: Talk) -> None:
    """Weight is counted with that of REST; who does not want to hear of limits does not."""
    before = (await talk.ask("ping"))["rateLimits"][-1]
    await house.client.ping()
    after = (await talk.ask("ping"))["rateLimits"][-1]
    assert after["rateLimitType"] == "REQUEST_WEIGHT"
    assert after["count"] == before["count"] + 2
    assert "rateLimits" not in await talk.ask("ping", returnRateLimits=False)
    placed = await talk.signed("order.place", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.001")
    assert [limit["rateLimitType"] for limit in placed["rateLimits"]] == [
        "ORDERS",
        "ORDERS",
        "REQUEST_WEIGHT",
    ]
    async with talking(house, "?returnRateLimits=false") as quiet:
        assert "rateLimits" not in await quiet.ask("ping")
        assert "rateLimits" in await quiet.ask("ping", returnRateLimits=True)


async def test_who_asks_too_much_hears_until_when(open_house: OpenHouse) -> None:
    """Above the weight limit the error says until when to wait, as there are no headers."""
    async with open_house(weight_limit=30) as house, talking(house) as talk:
        said = [await talk.ask("exchangeInfo") for _ in range(2)][-1]
    assert (said["status"], said["error"]["code"]) == (429, -1003)
    data = said["error"]["data"]
    assert 0 < data["retryAfter"] - data["serverTime"] <= 60_000


async def test_microseconds_for_who_asks(house: House) -> None:
    """The connection's unit holds for answers and events."""
    async with talking(house, "?timeUnit=MICROSECOND") as talk:
        assert (await talk.ask("time"))["result"]["serverTime"] > 10**15
        await talk.signed("userDataStream.subscribe.signature")
        await house.wire.order()
        assert (await talk.event())["event"]["E"] > 10**15


def test_every_method_has_its_endpoint() -> None:
    """Methods that change something are signed, whichever name they have."""
    for name in ("order.place", "order.cancel", "orderList.place.oco", "openOrders.cancelAll", "myTrades"):
        assert METHODS[name].is_signed


# Sessions ---------------------------------------------------------------------------------------------


async def test_a_session_need_not_sign(house: House, talk: Talk) -> None:
    """Who has logged on with an Ed25519 key trades and listens without signing; logging out ends that."""
    key = Ed25519PrivateKey.generate()
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.register("session-key", public_pem(key))
    now = time.time_ns() // 1_000_000
    payload = f"apiKey=session-key&timestamp={now}"
    signature = base64.b64encode(key.sign(payload.encode())).decode()
    assert (await talk.ask("userDataStream.subscribe"))["error"]["code"] == -2015
    session = await talk.ask("session.logon", apiKey="session-key", timestamp=now, signature=signature)
    assert session["result"]["apiKey"] == "session-key"
    assert (await talk.ask("userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
    wish = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
    placed = await talk.ask("order.place", timestamp=time.time_ns() // 1_000_000, **wish)
    assert placed["result"]["status"] == "FILLED"
    assert (await talk.ask("session.status"))["result"]["userDataStream"] is True
    assert (await talk.ask("session.logout"))["result"]["apiKey"] is None
    assert (await talk.ask("order.place", timestamp=now, **wish))["error"]["code"] == -2014


async def test_only_ed25519_logs_on(talk: Talk) -> None:
    """A key with a shared secret signs each request; it has no sessions."""
    said = await talk.signed("session.logon")
    assert said["status"] == 400
    assert (await talk.ask("session.status"))["result"]["apiKey"] is None


# Faults -----------------------------------------------------------------------------------------------


async def test_an_executed_order_whose_answer_never_comes(house: House, library: PythonBinance) -> None:
    """python-binance gives an unanswered order up though it was executed."""
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.add_fault(RequestFault(name="mute", on="WS order.place", waits="after", held=True))
        library.ws_api.TIMEOUT = 0.5
        with pytest.raises(BinanceWebsocketUnableToConnect, match="timed out"):
            await library.ws_create_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.001")
        shown = await admin.wait_for_fault("mute", stage="executed")
    assert shown["reached"]
    assert len(await house.client.get_all_orders(symbol="BTCUSDT")) == 1


@pytest.mark.parametrize("answer", ["closed", "reset", "html"])
async def test_an_executed_order_whose_connection_ends(house: House, talk: Talk, answer: Any) -> None:
    """The connection ends in place of the answer; the order stands."""
    async with PaperAdmin(house.origin, TOKEN) as admin:
        status = {"status": 502} if answer == "html" else {}
        await admin.add_fault(RequestFault(on="WS order.place", answer=answer, **status))
    params = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
    await talk.socket.send_json({"id": 1, "method": "order.place", "params": with_signature(params)})
    with anyio.fail_after(15):
        ended = await talk.socket.receive()
    assert ended.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
    assert len(await house.client.get_all_orders(symbol="BTCUSDT")) == 1


@pytest.mark.parametrize("answer", ["stray", "elsewhere"])
async def test_an_answer_goes_astray(house: House, library: PythonBinance, answer: Any) -> None:
    """python-binance gives an order up whose answer has another's id, or comes on the next connection."""
    wish = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.add_fault(RequestFault(on="WS order.place", answer=answer))
        library.ws_api.TIMEOUT = 0.5
        with pytest.raises((BinanceWebsocketUnableToConnect, BinanceWebsocketClosed)):
            await library.ws_create_order(**wish)
        await library.ws_api._wait_for_reconnect()  # The library hangs if it is closed while it reconnects.
    assert [order["status"] for order in await house.client.get_all_orders(symbol="BTCUSDT")] == ["FILLED"]


async def test_what_goes_astray(house: House, talk: Talk) -> None:
    """The answer itself is the usual one: under an id that nobody asked under, or on the next connection."""
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.add_fault(RequestFault(on="WS ping", answer="stray"))
        await talk.socket.send_json({"id": 7, "method": "ping"})
        assert (await talk.hear()) | {"rateLimits": []} == {
            "id": "stray", "status": 200, "result": {}, "rateLimits": []
        }  # fmt: skip
        await admin.add_fault(RequestFault(on="WS ping", answer="elsewhere"))
        await talk.socket.send_json({"id": 8, "method": "ping"})
        with anyio.fail_after(15):
            assert (await talk.socket.receive()).type is aiohttp.WSMsgType.CLOSED
        async with talking(house) as again:
            assert ((await again.hear())["id"], (await again.ask("ping"))["id"]) == (8, 1)
    with pytest.raises(ValueError, match="answer: only of requests on a websocket"):
        RequestFault(on="POST order", answer="stray")


async def test_errors_on_order(house: House, talk: Talk) -> None:
    """A method fails as ordered, once; an answer may be the connection's last; reads may lag."""
    wish = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.001"}
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.add_fault(RequestFault(on="WS order.place", executes="no", answer="error", code=-1015))
        said = await talk.signed("order.place", **wish)
        assert (said["status"], said["error"]["code"]) == (429, -1015)
        assert said["error"]["data"]["retryAfter"] > said["error"]["data"]["serverTime"]
        await admin.add_fault(ReadLag(on="WS allOrders"))
        placed = await talk.signed("order.place", **wish)
        assert placed["status"] == 200
        assert (await talk.signed("allOrders", symbol="BTCUSDT"))["result"] == []
        await admin.clear_faults()
        assert len((await talk.signed("allOrders", symbol="BTCUSDT"))["result"]) == 1
        await admin.add_fault(RequestFault(on="WS ping", answer="usual_then_closed"))
        assert (await talk.ask("ping"))["status"] == 200
        with anyio.fail_after(15):
            assert (await talk.socket.receive()).type is aiohttp.WSMsgType.CLOSE
