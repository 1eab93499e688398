"""A market that halts, changes its rules or goes away, and money that moves from outside."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from binance.exceptions import BinanceAPIException

from botwarden.errors import Missing, Refused
from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.faults import RequestFault
from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import KEY, TOKEN, House

pytestmark = pytest.mark.anyio

BUY = {"symbol": "BTCUSDT", "quantity": "0.01"}


@pytest.fixture
async def admin(house: House) -> AsyncIterator[PaperAdmin]:
    """The client of the admin endpoints."""
    async with PaperAdmin(house.origin, TOKEN) as one:
        yield one


@pytest.mark.parametrize("status", ["HALT", "BREAK", "CANCEL_ONLY"])
async def test_a_symbol_that_does_not_trade(house: House, admin: PaperAdmin, status: str) -> None:
    """Orders are refused with -1013, cancels work, other symbols trade on, and it ends."""
    client = house.client
    resting = await client.order_limit_buy(**BUY, price="50000")
    await admin.change_symbols("BTCUSDT", status=status)
    with pytest.raises(BinanceAPIException, match="Market is closed") as caught:
        await client.order_market_buy(**BUY)
    assert caught.value.code == -1013
    assert (await client.get_symbol_info("BTCUSDT"))["status"] == status
    await client.order_market_buy(symbol="ETHUSDT", quantity="0.1")
    gone = await client.cancel_order(symbol="BTCUSDT", orderId=resting["orderId"])
    assert gone["status"] == "CANCELED"
    await admin.change_symbols("BTCUSDT", status="TRADING")
    assert (await client.order_market_buy(**BUY))["status"] == "FILLED"


@pytest.mark.parametrize(("status", "streams", "silent"), [
    ("HALT", {"btcusdt@trade", "btcusdt@kline_1m"}, set()),
    ("CANCEL_ONLY", {"btcusdt@trade"}, {"btcusdt@kline_1m"}),
    ("BREAK", set(), {"btcusdt@trade", "btcusdt@kline_1m"}),
])  # fmt: skip
async def test_what_streams_tell_then(
    open_house: OpenHouse, status: str, streams: set[str], silent: set[str]
) -> None:
    """A halted market is shown, a broken one is not; one that only cancels has no candles."""
    async with open_house(speed=300.0) as house, PaperAdmin(house.origin, TOKEN) as admin:
        await admin.change_symbols("BTCUSDT", status=status)
        wanted = ["ethusdt@kline_1m", "ethusdt@trade", *streams, *silent]
        url = f"{house.origin}/stream?streams={'/'.join(wanted)}"
        seen = set()
        async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket:
            candles = 0
            while candles < 3 or not streams <= seen:
                told = await socket.receive_json()
                seen.add(told["stream"])
                candles += told["stream"] == "ethusdt@kline_1m" and told["data"]["k"]["x"]
        assert not seen & silent


async def test_rules_that_change(house: House, admin: PaperAdmin) -> None:
    """A coarser step refuses what was fine a moment ago, and exchangeInfo tells the new one."""
    await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.015")
    await admin.change_symbols("BTCUSDT", step="0.01", min_notional="2000")
    for quantity, name in (("0.015", "LOT_SIZE"), ("0.01", "NOTIONAL")):
        with pytest.raises(BinanceAPIException, match=name):
            await house.client.order_market_buy(symbol="BTCUSDT", quantity=quantity)
    filters = {one["filterType"]: one for one in (await house.client.get_symbol_info("BTCUSDT"))["filters"]}
    assert filters["LOT_SIZE"]["stepSize"] == "0.01000000"
    assert filters["NOTIONAL"]["minNotional"] == "2000.00000000"
    await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.1")
    for wish in ({"tick": "0"}, {"step": "0.00000001"}, {"status": "LOST"}, {"step": "x"}):
        with pytest.raises(Refused):
            await admin.change_symbols("BTCUSDT", **wish)


async def test_delisted(house: House, admin: PaperAdmin) -> None:
    """A delisted symbol is not in exchangeInfo and is -1121; its orders were expired, its money is free."""
    await house.client.order_limit_buy(**BUY, price="50000")
    await admin.delist("BTCUSDT")
    info = await house.client.get_exchange_info()
    assert [one["symbol"] for one in info["symbols"]] == ["ETHUSDT"]
    with pytest.raises(BinanceAPIException) as caught:
        await house.client.order_market_buy(**BUY)
    assert caught.value.code == -1121
    assert await house.client.get_open_orders() == []
    assert await house.free("USDT") == "100000.00000000"
    with pytest.raises(Missing):
        await admin.delist("BTCUSDT")


async def test_maintenance(house: House, admin: PaperAdmin) -> None:
    """All symbols are shut, open orders expire, new ones hear that trading is not enabled."""
    resting = await house.client.order_limit_buy(**BUY, price="50000")
    await admin.change_symbols(status="BREAK", expire_orders=True)
    refusal = RequestFault(
        name="maintenance", on="POST order", executes="no", answer="error", code=-2010, times=None
    )
    await admin.add_fault(refusal)
    with pytest.raises(BinanceAPIException, match="Rest API trading is not enabled"):
        await house.client.order_market_buy(**BUY)
    ended = await house.client.get_order(symbol="BTCUSDT", orderId=resting["orderId"])
    assert (ended["status"], ended["expiryReason"]) == ("EXPIRED", "EXCHANGE_CANCELED")
    await admin.clear_faults("maintenance")
    await admin.change_symbols(status="TRADING")
    assert (await house.client.order_market_buy(**BUY))["status"] == "FILLED"


async def test_money_that_moves_from_outside(open_house: OpenHouse) -> None:
    """A deposit and a withdrawal change what is free, for good; no more than that can be taken."""
    async with open_house() as house, PaperAdmin(house.origin, TOKEN) as admin:
        assert await admin.change_balance(KEY, "btc", "0.5") == "0.50000000"
        await admin.change_balance(KEY, "USDT", "-99990")
        with pytest.raises(Refused, match="free"):
            await admin.change_balance(KEY, "USDT", "-10.00000001")
        with pytest.raises(Missing):
            await admin.change_balance("nobody", "USDT", "1")
        with pytest.raises(BinanceAPIException, match="insufficient balance"):
            await house.client.order_market_buy(**BUY)
    async with open_house() as again:
        assert (await again.free("BTC"), await again.free("USDT")) == ("0.50000000", "10.00000000")
