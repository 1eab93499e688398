"""User data: what an account is told of its orders and balances as it happens, and what faults do to it."""

from typing import Any

import aiohttp
import anyio
import anyio.lowlevel
import pytest
from binance import BinanceSocketManager

from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.fault_events import StreamFault
from tests.exchange.paper.house import KEY, TOKEN, House, PythonBinance, price_of
from tests.exchange.paper.talk import Talk, talking

pytestmark = pytest.mark.anyio


async def test_an_order_is_told_as_it_happens(house: House, talk: Talk) -> None:
    """A market order is heard as new, traded and the balances behind it, each as REST shows it afterwards."""
    assert (await talk.signed("userDataStream.subscribe.signature"))["result"] == {"subscriptionId": 0}
    order = (await house.wire.order(newClientOrderId="mine")).body
    told = await talk.events_until("outboundAccountPosition")
    reports, position = told[:-1], told[-1]
    assert [report["x"] for report in reports] == ["NEW", *["TRADE"] * len(order["fills"])]
    assert (reports[0]["t"], reports[0]["N"], reports[0]["X"], reports[0]["c"]) == (-1, None, "NEW", "mine")
    assert reports[-1]["X"] == "FILLED"
    assert [report["t"] for report in reports[1:]] == [fill["tradeId"] for fill in order["fills"]]
    assert reports[-1]["z"] == order["executedQty"]
    assert reports[-1]["Z"] == order["cummulativeQuoteQty"]
    ids = [report["I"] for report in reports]
    assert ids == sorted(set(ids))
    free = {one["a"]: one["f"] for one in position["B"]}
    assert free["USDT"] == await house.free("USDT")


async def test_a_cancel_is_told_with_both_ids(house: House, talk: Talk) -> None:
    """Of a cancelled order the event has the request's id and, as the original one, the order's own."""
    await talk.signed("userDataStream.subscribe.signature")
    price = str(int(price_of(house) * 9 / 10))
    limit = {"type": "LIMIT", "timeInForce": "GTC", "price": price, "newClientOrderId": "resting"}
    await house.wire.order(**limit)
    (new, _) = await talk.events_until("outboundAccountPosition")
    assert (new["X"], new["w"]) == ("NEW", True)
    await house.wire.signed(
        "DELETE", "order", symbol="BTCUSDT", origClientOrderId="resting", newClientOrderId="taking-off"
    )
    (ended, _) = await talk.events_until("outboundAccountPosition")
    assert (ended["x"], ended["X"], ended["c"], ended["C"]) == (
        "CANCELED",
        "CANCELED",
        "taking-off",
        "resting",
    )


async def test_lists_and_movements_are_told(house: House, talk: Talk) -> None:
    """A list tells that it stands and that it is done; what comes without an order is told as well."""
    await house.wire.order(quantity="0.01")
    await talk.signed("userDataStream.subscribe.signature")
    price = price_of(house)
    wish = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "quantity": "0.009",
        "aboveType": "LIMIT_MAKER",
        "abovePrice": int(price * 11 / 10),
        "belowType": "STOP_LOSS",
        "belowStopPrice": int(price * 9 / 10),
        "listClientOrderId": "both",
    }
    assert (await house.wire.signed("POST", "orderList/oco", **wish)).status == 200
    stands = await talk.events_until("outboundAccountPosition")
    assert [event["e"] for event in stands].count("executionReport") == 2
    (status,) = [event for event in stands if event["e"] == "listStatus"]
    assert (status["l"], status["L"], status["C"]) == ("EXEC_STARTED", "EXECUTING", "both")
    await house.wire.signed("DELETE", "orderList", symbol="BTCUSDT", listClientOrderId="both")
    done = await talk.events_until("outboundAccountPosition")
    assert [event["l"] for event in done if event["e"] == "listStatus"] == ["ALL_DONE"]
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.change_balance(KEY, "USDT", "12.5")
    (moved, _) = await talk.events_until("outboundAccountPosition")
    assert (moved["e"], moved["a"], moved["d"]) == ("balanceUpdate", "USDT", "12.50000000")


async def test_one_subscription_of_an_account(house: House, talk: Talk) -> None:
    """A second subscription is refused; the first ends with a word, and nothing is heard after it."""
    await talk.signed("userDataStream.subscribe.signature")
    assert (await talk.signed("userDataStream.subscribe.signature"))["error"]["code"] == -2035
    assert (await talk.ask("session.subscriptions"))["result"] == [{"subscriptionId": 0}]
    assert (await talk.ask("userDataStream.unsubscribe", subscriptionId=5))["error"]["code"] == -2036
    assert (await talk.ask("userDataStream.unsubscribe", subscriptionId=0))["result"] == {}
    assert (await talk.events_until("eventStreamTerminated"))[-1]["e"] == "eventStreamTerminated"
    await house.wire.order()
    assert (await talk.ask("ping"))["status"] == 200
    assert talk.events == []
    assert not house.venue.engine.feed.is_heard(1)


async def test_nothing_is_kept_for_who_has_gone(house: House) -> None:
    """A subscription dies with its connection; what happens meanwhile is not told again."""
    async with talking(house) as talk:
        await talk.signed("userDataStream.subscribe.signature")
    with anyio.fail_after(15):
        while house.venue.engine.feed.is_heard(1):
            await anyio.lowlevel.checkpoint()
    await house.wire.order()
    async with talking(house) as talk:
        assert (await talk.signed("userDataStream.subscribe.signature"))["result"] == {"subscriptionId": 0}
        await talk.ask("ping")
        assert talk.events == []


async def test_python_binance_hears_its_account(house: House, library: PythonBinance) -> None:
    """python-binance's user socket hears an order of the account."""
    manager = BinanceSocketManager(library)
    async with manager.user_socket() as socket:
        await house.wire.order()
        with anyio.fail_after(15):
            told = [await socket.recv() for _ in range(3)]
    assert [event["e"] for event in told] == ["executionReport", "executionReport", "outboundAccountPosition"]


async def test_user_events_get_lost_come_twice_and_late(house: House, talk: Talk) -> None:
    """Events of user data are dropped, doubled and let pass by others, as ordered."""
    await talk.signed("userDataStream.subscribe.signature")
    async with PaperAdmin(house.origin, TOKEN) as admin:
        on: dict[str, Any] = {"on": "userData"}
        await admin.add_fault(StreamFault(effect="drop", where={"x": "NEW"}, **on))
        await admin.add_fault(StreamFault(effect="late", held=True, name="late", where={"x": "TRADE"}, **on))
        await admin.add_fault(StreamFault(effect="twice", where={"e": "outboundAccountPosition"}, **on))
        await house.wire.order()
        first, second = (await talk.event())["event"], (await talk.event())["event"]
        assert first == second
        assert first["e"] == "outboundAccountPosition"
        await admin.release_fault("late")
        late = await talk.event()
    assert (late["subscriptionId"], late["event"]["x"]) == (0, "TRADE")


async def test_the_venue_says_that_it_goes(house: House, talk: Talk) -> None:
    """Before the venue goes it says so, without a subscription, and the connection closes."""
    await talk.ask("ping")
    async with PaperAdmin(house.origin, TOKEN) as admin:
        assert await admin.end_streams("userData", how="shutdown") == 1
    said = await talk.hear()
    assert said["event"]["e"] == "serverShutdown"
    assert "subscriptionId" not in said
    with anyio.fail_after(15):
        assert (await talk.socket.receive()).type is aiohttp.WSMsgType.CLOSE
