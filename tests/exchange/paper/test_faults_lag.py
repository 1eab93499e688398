"""Reads that lag behind the engine: an order that is there, and is not to be found yet."""

import pytest
from binance.exceptions import BinanceAPIException

from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.faults import ReadLag
from tests.exchange.paper.house import KEY, TOKEN, House, client_of

pytestmark = pytest.mark.anyio

BUY = {"symbol": "BTCUSDT", "quantity": "0.01"}


async def test_everything_is_as_it_was(house: House) -> None:
    """While reads lag, orders, trades and balances of before are shown, all of one moment."""
    client = house.client
    before = await client.order_limit_buy(**BUY, price="50000")
    money = await house.free("USDT")
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.add_fault(ReadLag(name="lag"))
        bought = await client.order_market_buy(**BUY, newClientOrderId="new")
        await client.cancel_order(symbol="BTCUSDT", orderId=before["orderId"])
        for ids in ({"orderId": bought["orderId"]}, {"origClientOrderId": "new"}):
            with pytest.raises(BinanceAPIException, match="-2013"):
                await client.get_order(symbol="BTCUSDT", **ids)
        assert (await client.get_order(symbol="BTCUSDT", orderId=before["orderId"]))["status"] == "NEW"
        assert [one["orderId"] for one in await client.get_open_orders()] == [before["orderId"]]
        assert len(await client.get_all_orders(symbol="BTCUSDT")) == 1
        assert await client.get_my_trades(symbol="BTCUSDT") == []
        assert (await house.free("USDT"), await house.free("BTC")) == (money, "0.00000000")
        await admin.clear_faults("lag")
    assert (await client.get_order(symbol="BTCUSDT", origClientOrderId="new"))["status"] == "FILLED"
    assert await client.get_open_orders() == []
    assert await house.free("BTC") == "0.00999000"


async def test_only_what_was_chosen_lags(house: House) -> None:
    """A lag of one path and one key leaves the rest in the present, and ends after so many reads."""
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.register("other", "secret")
        await admin.add_fault(ReadLag(on="GET order", api_key=KEY, times=2))
    other = client_of(house.origin, key="other", secret="secret")
    for client, misses in ((house.client, 2), (other, 0)):
        bought = await client.order_market_buy(**BUY)
        assert len(await client.get_my_trades(symbol="BTCUSDT")) >= 1
        for _ in range(misses):
            with pytest.raises(BinanceAPIException, match="-2013"):
                await client.get_order(symbol="BTCUSDT", orderId=bought["orderId"])
        found = await client.get_order(symbol="BTCUSDT", orderId=bought["orderId"])
        assert found["status"] == "FILLED"
    await other.session.close()
