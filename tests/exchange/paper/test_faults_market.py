"""A market that halts, changes its rules or goes away, and money that moves from outside."""

from collections.abc import AsyncIterator
from decimal import Decimal

import aiohttp
import pytest
from binance.exceptions import BinanceAPIException

from botwarden.errors import Missing, Refused
from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.expiry import Cause
from botwarden.exchange.paper.faults import RequestFault
from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import KEY, TOKEN, House, price_of, say
from tests.exchange.paper.talk import Talk

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


@pytest.mark.parametrize(("beyond", "status", "reason"), [
    ("price_range", "EXPIRED", "EXECUTION_RULE_PRICE_RANGE_EXCEEDED"),
    ("own_order", "EXPIRED_IN_MATCH", None),
])  # fmt: skip
async def test_an_order_ends_midway(
    house: House, admin: PaperAdmin, beyond: str, status: str, reason: str | None
) -> None:
    """A purchase that would go too far keeps what it has taken until then, or nothing; the rest expires."""
    price = price_of(house)
    await admin.change_symbols("BTCUSDT", reach="0.0002", beyond=beyond)
    asks = (await house.client.get_order_book(symbol="BTCUSDT"))["asks"]
    near = [Decimal(size) for at, size in asks if Decimal(at) <= price * Decimal("1.0002")]
    part = await house.client.order_market_buy(symbol="BTCUSDT", quoteOrderQty="90000")
    assert (part["status"], part.get("expiryReason"), len(part["fills"])) == (status, reason, len(near))
    assert Decimal(await house.free("BTC")) == sum(near) * Decimal("0.999")
    await admin.change_symbols("BTCUSDT", reach="0")
    for in_force in ({"type": "MARKET"}, {"type": "LIMIT", "timeInForce": "FOK", "price": asks[9][0]}):
        none = await house.client.create_order(**BUY, side="BUY", **in_force)
        assert (none["status"], none["executedQty"]) == (status, "0.00000000")
    read = await house.client.get_order(symbol="BTCUSDT", orderId=part["orderId"])
    assert (read["status"], read["executedQty"]) == (status, part["executedQty"])
    await admin.change_symbols("BTCUSDT", reach="1")
    assert (await house.client.order_market_buy(**BUY))["status"] == "FILLED"
    for wish in ({"reach": "1.1"}, {"reach": "-1"}, {"beyond": "exchange"}):
        with pytest.raises(Refused, match=r"reach|beyond"):
            await admin.change_symbols("BTCUSDT", **wish)


async def test_a_stop_that_fills_nothing_gives_no_order_back(house: House, admin: PaperAdmin) -> None:
    """A triggered order that may not take at all still counts as unfilled; one that fills gives it back."""
    await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.05")
    now_ms, price = house.venue.clock.now_ms(), price_of(house)
    counted = []
    for share, reach in (("0.99", "0"), ("0.97", "1")):
        await admin.change_symbols("BTCUSDT", reach=reach)
        await house.client.create_order(
            symbol="BTCUSDT", side="SELL", type="STOP_LOSS", quantity="0.01",
            stopPrice=f"{price * Decimal(share):.2f}",
        )  # fmt: skip
        before = house.venue.orders.counts(1, now_ms)[86_400]
        say(house, (price * (Decimal(share) - Decimal("0.01"))).quantize(Decimal("0.01")))
        counted.append(house.venue.orders.counts(1, now_ms)[86_400] - before)
    assert counted == [0, -1]


async def test_a_triggered_stop_ends_midway(house: House, admin: PaperAdmin) -> None:
    """The stop of a list that would go too far sells a part; the list is done and the rest is still held."""
    await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.5")
    price = price_of(house)
    await admin.change_symbols("BTCUSDT", reach="0.00005", liquidity=1)
    await house.client.create_oco_order(
        symbol="BTCUSDT", side="SELL", quantity="0.4", aboveType="LIMIT_MAKER", abovePrice=f"{price * 2:.2f}",
        belowType="STOP_LOSS", belowStopPrice=f"{price * Decimal('0.99'):.2f}", belowClientOrderId="stop",
    )  # fmt: skip
    say(house, (price * Decimal("0.98")).quantize(Decimal("0.01")))
    stop = await house.client.get_order(symbol="BTCUSDT", origClientOrderId="stop")
    assert stop["expiryReason"] == "EXECUTION_RULE_PRICE_RANGE_EXCEEDED"
    assert 0 < Decimal(stop["executedQty"]) < Decimal("0.4")
    assert await house.client.get_open_orders() == []
    assert Decimal(await house.free("BTC")) == Decimal("0.4995") - Decimal(stop["executedQty"])


@pytest.mark.parametrize(("cause", "told_as"), [
    ("exchange", ("EXPIRED", "EXPIRED", "EXCHANGE_CANCELED")),
    ("own_order", ("TRADE_PREVENTION", "EXPIRED_IN_MATCH", None)),
])  # fmt: skip
async def test_an_open_order_is_ended(
    house: House, admin: PaperAdmin, talk: Talk, cause: Cause, told_as: tuple[str, str, str | None]
) -> None:
    """The venue ends one order of an account, or all of a symbol, and the account hears of it."""
    first, second, other = [
        await house.client.order_limit_buy(symbol=symbol, quantity="0.01", price=price)
        for symbol, price in (("BTCUSDT", "50000"), ("BTCUSDT", "49000"), ("ETHUSDT", "1000"))
    ]
    await talk.signed("userDataStream.subscribe.signature")
    assert await admin.end_orders(KEY, "BTCUSDT", order_id=first["orderId"], cause=cause) == [
        first["orderId"]
    ]
    [told, _] = await talk.events_until("outboundAccountPosition")
    assert (told["x"], told["X"], told.get("eR")) == told_as
    with pytest.raises(Missing, match="open order"):
        await admin.end_orders(KEY, "BTCUSDT", order_id=first["orderId"])
    assert await admin.end_orders(KEY, "BTCUSDT", cause=cause) == [second["orderId"]]
    assert [order["orderId"] for order in await house.client.get_open_orders()] == [other["orderId"]]
    with pytest.raises(BinanceAPIException, match="Unknown order"):
        await house.client.cancel_order(symbol="BTCUSDT", orderId=first["orderId"])
    with pytest.raises(Missing, match="key"):
        await admin.end_orders("nobody", "BTCUSDT")
    with pytest.raises(Missing, match="symbol"):
        await admin.end_orders(KEY, "LOSTUSDT")


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
