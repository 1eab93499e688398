"""The unmodified python-binance trades over a real server."""

from decimal import Decimal

import pytest
from binance.exceptions import BinanceAPIException

from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import House, client_of, minutes, write_klines

pytestmark = pytest.mark.anyio


async def test_a_purchase_by_quantity(house: House) -> None:
    """Fills add up to the size; the fee is taken from the coin that is bought; the quote is paid in full."""
    answer = await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.5", newClientOrderId="one")
    fills = answer["fills"]
    assert answer["status"] == "FILLED"
    assert len(fills) > 1
    assert sum(Decimal(fill["qty"]) for fill in fills) == Decimal(answer["executedQty"]) == Decimal("0.5")
    paid = sum(Decimal(fill["qty"]) * Decimal(fill["price"]) for fill in fills)
    assert paid == Decimal(answer["cummulativeQuoteQty"])
    fees = [Decimal(fill["commission"]) for fill in fills]
    assert all(fill["commissionAsset"] == "BTC" for fill in fills)
    assert all(fee == Decimal(fill["qty"]) / 1000 for fee, fill in zip(fees, fills, strict=True))
    assert Decimal(await house.free("BTC")) == Decimal("0.5") - sum(fees)
    assert Decimal(await house.free("USDT")) == 100_000 - paid


async def test_a_purchase_by_quote(house: House) -> None:
    """A size in quote buys as many whole steps as it pays for, and no more."""
    answer = await house.client.create_order(
        symbol="ETHUSDT", side="BUY", type="MARKET", quoteOrderQty="1000.10"
    )
    spent = Decimal(answer["cummulativeQuoteQty"])
    assert answer["status"] == "FILLED"
    assert answer["origQty"] == answer["executedQty"]
    assert answer["origQuoteOrderQty"] == "1000.10000000"
    assert Decimal(999) < spent <= Decimal("1000.10")
    assert Decimal(answer["executedQty"]) % Decimal("0.0001") == 0


async def test_a_sale_gives_quote_less_the_fee(house: House) -> None:
    """A sale's fee is taken from the quote that it yields."""
    await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.1")
    before = Decimal(await house.free("USDT"))
    answer = await house.client.order_market_sell(symbol="BTCUSDT", quantity="0.05")
    assert {fill["commissionAsset"] for fill in answer["fills"]} == {"USDT"}
    fees = sum(Decimal(fill["commission"]) for fill in answer["fills"])
    assert Decimal(await house.free("USDT")) == before + Decimal(answer["cummulativeQuoteQty"]) - fees
    assert Decimal(await house.free("BTC")) == Decimal("0.0999") - Decimal("0.05")


async def test_orders_and_trades_can_be_read_again(house: House) -> None:
    """An order is found by either id, and its executions by order and by trade id."""
    placed = await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.5", newClientOrderId="abc-1")
    by_client = await house.client.get_order(symbol="BTCUSDT", origClientOrderId="abc-1")
    assert by_client == await house.client.get_order(symbol="BTCUSDT", orderId=placed["orderId"])
    assert by_client["executedQty"] == "0.50000000"
    assert by_client["time"] == placed["transactTime"]
    trades = await house.client.get_my_trades(symbol="BTCUSDT", orderId=placed["orderId"])
    assert [trade["id"] for trade in trades] == [fill["tradeId"] for fill in placed["fills"]]
    assert [trade["commission"] for trade in trades] == [fill["commission"] for fill in placed["fills"]]
    later = await house.client.get_my_trades(symbol="BTCUSDT", fromId=trades[1]["id"])
    assert later == trades[1:]
    assert await house.client.get_my_trades(symbol="BTCUSDT", limit=1) == trades[-1:]
    assert await house.client.get_all_orders(symbol="BTCUSDT") == [by_client]
    assert await house.client.get_all_orders(symbol="BTCUSDT", orderId=placed["orderId"] + 1) == []


async def test_times_bound_orders_and_trades(house: House) -> None:
    """StartTime and endTime include their own moment; more than a day between them is refused."""
    placed = await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.001")
    at = placed["transactTime"]
    for read in (house.client.get_my_trades, house.client.get_all_orders):
        assert len(await read(symbol="BTCUSDT", startTime=at, endTime=at)) == 1
        assert await read(symbol="BTCUSDT", startTime=at + 1) == []
        assert await read(symbol="BTCUSDT", endTime=at - 1) == []
        with pytest.raises(BinanceAPIException, match="24 hours"):
            await read(symbol="BTCUSDT", startTime=at, endTime=at + 86_400_001)


async def test_the_trap_of_the_client_order_id(house: House) -> None:
    """The same id is refused while its order is open, and executes again once that has filled."""
    first = await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.001", newClientOrderId="same")
    again = await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.001", newClientOrderId="same")
    assert again["orderId"] != first["orderId"]
    assert await house.free("BTC") == "0.00199800"
    newest = await house.client.get_order(symbol="BTCUSDT", origClientOrderId="same")
    assert newest["orderId"] == again["orderId"]
    price = Decimal(first["fills"][0]["price"]) / 2
    limit = {"symbol": "BTCUSDT", "quantity": "0.001", "price": f"{price:.2f}", "newClientOrderId": "same"}
    resting = await house.client.order_limit_buy(**limit)
    assert resting["status"] == "NEW"
    with pytest.raises(BinanceAPIException) as refused:
        await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.001", newClientOrderId="same")
    assert (refused.value.code, refused.value.message) == (-2010, "Duplicate order sent.")
    await house.client.order_market_buy(symbol="ETHUSDT", quantity="0.01", newClientOrderId="same")
    await house.client.cancel_order(symbol="BTCUSDT", origClientOrderId="same")
    await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.001", newClientOrderId="same")


async def test_a_limit_order_sets_its_money_aside(house: House) -> None:
    """What rests is locked, shown, and given back by a cancel, whose answer tells both ids apart."""
    bid = Decimal((await house.client.get_orderbook_ticker(symbol="BTCUSDT"))["bidPrice"])
    price = f"{bid * Decimal('0.9'):.2f}"
    placed = await house.client.order_limit_buy(symbol="BTCUSDT", quantity="0.1", price=price)
    locked = Decimal(price) / 10
    usdt = await house.client.get_asset_balance("USDT")
    assert (Decimal(usdt["free"]), Decimal(usdt["locked"])) == (100_000 - locked, locked)
    (shown,) = await house.client.get_open_orders(symbol="BTCUSDT")
    assert (shown["orderId"], shown["status"], shown["price"]) == (placed["orderId"], "NEW", f"{price}000000")
    gone = await house.client.cancel_order(
        symbol="BTCUSDT", orderId=placed["orderId"], newClientOrderId="cancel-1"
    )
    assert (gone["status"], gone["clientOrderId"]) == ("CANCELED", "cancel-1")
    assert gone["origClientOrderId"] == placed["clientOrderId"]
    assert await house.free("USDT") == "100000.00000000"
    with pytest.raises(BinanceAPIException) as refused:
        await house.client.cancel_order(symbol="BTCUSDT", orderId=placed["orderId"])
    assert refused.value.code == -2011


async def test_a_limit_order_that_reaches_the_book_takes_from_it(house: House) -> None:
    """What the limit allows is taken at once; IOC lets the rest expire, FOK takes all or nothing."""
    ask = Decimal((await house.client.get_orderbook_ticker(symbol="BTCUSDT"))["askPrice"])
    price = f"{ask * Decimal('1.0002'):.2f}"
    wish = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1.2", "price": price}
    ioc = await house.client.create_order(**wish, timeInForce="IOC")
    assert ioc["status"] == "EXPIRED"
    assert ioc["expiryReason"] == "UNFILLED_IOC_QUANTITY_EXPIRED"
    assert Decimal(0) < Decimal(ioc["executedQty"]) < Decimal("1.2")
    assert all(Decimal(fill["price"]) <= Decimal(price) for fill in ioc["fills"])
    before = await house.free("USDT")
    fok = await house.client.create_order(
        **wish | {"quantity": "0.8", "price": f"{ask:.2f}"}, timeInForce="FOK"
    )
    assert (fok["status"], fok["executedQty"]) == ("EXPIRED", "0.00000000")
    assert await house.free("USDT") == before
    assert await house.client.get_open_orders() == []


async def test_a_thin_book_expires_a_market_order(open_house: OpenHouse) -> None:
    """A market order larger than the book is filled as far as the book goes, and expires."""
    async with open_house(starting_balances={"USDT": "0", "LINKUSDT": "0", "BTC": "9000"}) as house:
        answer = await house.client.order_market_sell(symbol="BTCUSDT", quantity="180")
        assert answer["status"] == "EXPIRED"
        assert answer["expiryReason"] == "INSUFFICIENT_LIQUIDITY"
        sold = Decimal(answer["executedQty"])
        assert 0 < sold < 180
        assert Decimal(await house.free("BTC")) == 9000 - sold


async def test_order_test_changes_nothing(house: House) -> None:
    """order/test checks everything and does nothing."""
    assert (
        await house.client.create_test_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="1") == {}
    )
    with pytest.raises(BinanceAPIException, match="LOT_SIZE"):
        await house.client.create_test_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.000001")
    assert await house.client.get_all_orders(symbol="BTCUSDT") == []


async def test_a_resting_order_is_filled_when_the_price_gets_there(open_house: OpenHouse, tmp_path) -> None:
    """A price at the limit fills the order as a maker, at the limit."""
    path = write_klines(tmp_path / "BTCUSDT-1m.csv", minutes(300))
    async with open_house(market="replay", replay=[path], symbols=[]) as house:
        await house.client.order_market_buy(symbol="BTCUSDT", quantity="1")
        now = Decimal((await house.client.get_symbol_ticker(symbol="BTCUSDT"))["price"])
        limit = f"{now + 3:.1f}"
        sale = await house.client.order_limit_sell(symbol="BTCUSDT", quantity="0.5", price=limit)
        assert sale["status"] == "NEW"
        while house.venue.market.symbols["BTCUSDT"].price < int(Decimal(limit) * 10**8):
            house.venue.market.step(house.venue.clock.now_ms())
        filled = await house.client.get_order(symbol="BTCUSDT", orderId=sale["orderId"])
        assert (filled["status"], filled["executedQty"]) == ("FILLED", "0.50000000")
        (trade,) = await house.client.get_my_trades(symbol="BTCUSDT", orderId=sale["orderId"])
        assert (trade["isMaker"], Decimal(trade["price"])) == (True, Decimal(limit))
        assert Decimal(trade["commission"]) == Decimal(limit) / 2000
        btc = await house.client.get_asset_balance("BTC")
        assert (Decimal(btc["free"]), Decimal(btc["locked"])) == (Decimal("0.499"), 0)


async def test_accounts_are_apart(house: House) -> None:
    """Nobody sees another's orders, and everybody has a balance of their own."""
    placed = await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.001")
    house.venue.engine.register("other", "secret", None)
    other = client_of(house.origin, key="other", secret="secret")
    try:
        with pytest.raises(BinanceAPIException) as refused:
            await other.get_order(symbol="BTCUSDT", orderId=placed["orderId"])
        assert refused.value.code == -2013
        assert await other.get_my_trades(symbol="BTCUSDT") == []
        assert (await other.get_asset_balance("USDT"))["free"] == "100000.00000000"
    finally:
        await other.session.close()
