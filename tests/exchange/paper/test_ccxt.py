"""ccxt as a second witness: the library as it is trades against the paper exchange, and clients agree."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from decimal import Decimal
from typing import Any

import anyio
import ccxt
import pytest
from ccxt.pro import binance

from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.faults import RequestFault
from tests.exchange.paper.house import KEY, SECRET, TOKEN, House, price_of

pytestmark = pytest.mark.anyio

PAIR, SYMBOL = "BTC/USDT", "BTCUSDT"

Open = Callable[..., Any]


@pytest.fixture
async def open_ccxt(house: House) -> AsyncIterator[Open]:
    """Makes clients of ccxt, closed afterwards. Only addresses and the kinds of markets are set."""
    async with AsyncExitStack() as stack:

        def make(key: str = KEY, secret: str = SECRET) -> Any:
            client = binance(
                {
                    "apiKey": key,
                    "secret": secret,
                    "options": {
                        "fetchMarkets": {"types": ["spot"]},
                        "fetchCurrencies": False,
                        "fetchMargins": False,
                    },
                }
            )
            stack.push_async_callback(client.close)
            client.urls["api"]["public"] = client.urls["api"]["private"] = f"{house.origin}/api/v3"
            websocket = house.origin.replace("http", "ws")
            client.urls["api"]["ws"]["spot"] = f"{websocket}/ws"
            client.urls["api"]["ws"]["ws-api"]["spot"] = f"{websocket}/ws-api/v3"
            # The library knows the spot errors by the address of the live venue.
            client.exceptions["exact"] = {**client.exceptions["exact"], **client.exceptions["spot"]["exact"]}
            return client

        yield make


@pytest.fixture
def client(open_ccxt: Open) -> Any:
    """A client with the house's key."""
    return open_ccxt()


def exact(number: Any) -> Decimal:
    """Return a number of ccxt, which has floats, as it is written."""
    return Decimal(str(number))


# What is read -----------------------------------------------------------------------------------------


async def test_markets_are_understood(client: Any) -> None:
    """Precision and limits of a market are those that exchangeInfo states."""
    market = (await client.load_markets())[PAIR]
    assert (market["id"], market["base"], market["quote"], market["active"]) == (SYMBOL, "BTC", "USDT", True)
    assert exact(market["precision"]["price"]) == Decimal("0.01")
    assert exact(market["precision"]["amount"]) == Decimal("0.00001")
    assert exact(market["limits"]["cost"]["min"]) == 5


async def test_prices_are_those_that_python_binance_reads(house: House, client: Any) -> None:
    """Candles, tickers, books and trades are the same by either client."""
    market = house.venue.market
    closed_ms = market.minute_ms - 60_000
    (candle,) = await client.fetch_ohlcv(PAIR, "1m", since=closed_ms, limit=1)
    (row,) = await house.client.get_klines(symbol=SYMBOL, interval="1m", startTime=closed_ms, limit=1)
    assert candle == [row[0], *(float(cell) for cell in row[1:6])]
    book = await client.fetch_order_book(PAIR, limit=5)
    assert len(book["bids"]) == len(book["asks"]) == 5
    assert book["bids"][0][0] < book["asks"][0][0]
    ticker = await client.fetch_ticker(PAIR)
    assert ticker["low"] <= ticker["last"] <= ticker["high"]
    market.step(house.venue.clock.now_ms())
    trades = await client.fetch_trades(PAIR, limit=10)
    known = {str(trade.trade_id): trade for trade in market.symbols[SYMBOL].recent}
    assert trades
    assert all(exact(trade["price"]) * 10**8 == known[trade["id"]].price for trade in trades)


# What is traded ---------------------------------------------------------------------------------------


async def test_a_purchase_and_its_sale(house: House, client: Any) -> None:
    """Market orders by size and by cost fill; balances, fees and trades are what python-binance reads."""
    bought = await client.create_order(PAIR, "market", "buy", 0.01, params={"clientOrderId": "mine"})
    spent = await client.create_market_buy_order_with_cost(PAIR, 500)
    sold = await client.create_order(PAIR, "market", "sell", 0.005)
    assert [order["status"] for order in (bought, spent, sold)] == ["closed"] * 3
    assert (bought["clientOrderId"], exact(bought["filled"])) == ("mine", Decimal("0.01"))
    assert exact(spent["cost"]) <= 500

    trades = await client.fetch_my_trades(PAIR)
    theirs = await house.client.get_my_trades(symbol=SYMBOL)
    assert [(one["id"], exact(one["amount"]), exact(one["fee"]["cost"])) for one in trades] == [
        (str(one["id"]), Decimal(one["qty"]).normalize(), Decimal(one["commission"]).normalize())
        for one in theirs
    ]
    balances = await client.fetch_balance()
    for asset in ("BTC", "USDT"):
        assert exact(balances[asset]["free"]) == Decimal(await house.free(asset)).normalize()


async def test_orders_that_rest(house: House, client: Any) -> None:
    """Limits, stops and profits rest, are found and taken off; what is taken off is not there any more."""
    await client.create_order(PAIR, "market", "buy", 0.05)
    price = price_of(house)
    low, high = float(int(price * 9 / 10)), float(int(price * 11 / 10))
    placed = [
        await client.create_order(PAIR, "limit", "buy", 0.01, low),
        await client.create_order(PAIR, "limit", "sell", 0.01, high, {"postOnly": True}),
        await client.create_order(PAIR, "market", "sell", 0.01, None, {"stopLossPrice": low}),
        await client.create_order(PAIR, "limit", "sell", 0.01, high, {"takeProfitPrice": high}),
    ]
    open_ids = {order["id"] for order in await client.fetch_open_orders(PAIR)}
    assert open_ids == {order["id"] for order in placed}
    found = await client.fetch_order(placed[2]["id"], PAIR)
    assert (found["status"], exact(found["triggerPrice"])) == ("open", exact(low))
    assert (await client.cancel_order(placed[0]["id"], PAIR))["status"] == "canceled"
    await client.cancel_all_orders(PAIR)
    assert await client.fetch_open_orders(PAIR) == []
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(placed[0]["id"], PAIR)


@pytest.mark.parametrize(
    ("kind", "amount", "price", "error"),
    [
        ("market", 1.5, None, ccxt.InsufficientFunds),
        ("limit", 0.00001, 60_000.0, ccxt.BadRequest),
        ("limit", 0.01, 600_000_000.0, ccxt.InvalidOrder),
    ],
    ids=["too dear", "too small", "off the scale"],
)
async def test_refusals_have_their_class(
    client: Any, kind: str, amount: float, price: float | None, error: type[Exception]
) -> None:
    """What the venue refuses arrives as the error that the library has for it."""
    with pytest.raises(error):
        await client.create_order(PAIR, kind, "buy", amount, price)
    assert await client.fetch_open_orders(PAIR) == []


async def test_strangers_are_refused(open_ccxt: Open) -> None:
    """A key that is not known, and a secret that is not the key's, are told apart from everything else."""
    for key, secret in (("nobody" * 6, SECRET), (KEY, "wrong" * 6)):
        with pytest.raises(ccxt.AuthenticationError):
            await open_ccxt(key, secret).fetch_balance()


@pytest.mark.parametrize(
    ("fault", "error", "made"),
    [
        ({"answer": "error", "code": -1007}, ccxt.RequestTimeout, 1),
        ({"answer": "html", "status": 502}, ccxt.ExchangeNotAvailable, 1),
        ({"answer": "closed"}, ccxt.NetworkError, 1),
        ({"answer": "error", "code": -1003, "executes": "no"}, ccxt.DDoSProtection, 0),
        ({"answer": "error", "code": -1021, "executes": "no"}, ccxt.InvalidNonce, 0),
    ],
    ids=["unknown", "bad gateway", "cut off", "too much", "too late"],
)
async def test_what_faults_look_like(
    house: House, client: Any, fault: dict[str, Any], error: type[Exception], made: int
) -> None:
    """An executed order with a lost answer is a network error to the library; the order stands."""
    await client.load_markets()
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.add_fault(RequestFault(on="POST order", **fault))
    with pytest.raises(error):
        await client.create_order(PAIR, "market", "buy", 0.001)
    assert len(await house.client.get_all_orders(symbol=SYMBOL)) == made


# What is heard ----------------------------------------------------------------------------------------


async def heard(answer: Any) -> Any:
    """Return what a watch brings."""
    with anyio.fail_after(20):
        return await answer


async def test_streams_are_heard(client: Any) -> None:
    """Prices, trades, candles and books arrive by stream."""
    await client.load_markets()
    trades = await heard(client.watch_trades(PAIR))
    assert trades[-1]["symbol"] == PAIR
    assert (await heard(client.watch_ticker(PAIR)))["last"] > 0
    assert (await heard(client.watch_ohlcv(PAIR, "1m")))[-1][4] > 0
    book = await heard(client.watch_order_book(PAIR))
    assert book["bids"][0][0] < book["asks"][0][0]


async def test_orders_are_heard_and_placed_by_websocket(house: House, client: Any) -> None:
    """Orders that are placed on the WebSocket API are heard of on the account's own stream."""
    await client.load_markets()
    price = float(int(price_of(house) * 9 / 10))
    async with anyio.create_task_group() as group:
        orders: list[Any] = []

        async def listen() -> None:
            orders.extend(await heard(client.watch_orders(PAIR)))

        group.start_soon(listen)
        while not house.venue.engine.feed.is_heard(1):
            await anyio.lowlevel.checkpoint()
        placed = await client.create_order_ws(PAIR, "limit", "buy", 0.001, price)
    assert [order["id"] for order in orders] == [placed["id"]]
    assert (await client.fetch_order_ws(placed["id"], PAIR))["status"] == "open"
    assert (await client.cancel_order_ws(placed["id"], PAIR))["status"] == "canceled"


async def test_a_lost_account_stream_is_found_again(house: House, client: Any) -> None:
    """Ccxt subscribes again after its connection was cut, and hears the next order."""
    await client.load_markets()
    for _ in range(2):
        async with anyio.create_task_group() as group:
            trades: list[Any] = []

            async def listen(trades: list[Any] = trades) -> None:
                with suppress(ccxt.NetworkError):
                    trades.extend(await heard(client.watch_my_trades(PAIR)))
                    return
                trades.extend(await heard(client.watch_my_trades(PAIR)))

            group.start_soon(listen)
            while not house.venue.engine.feed.is_heard(1):
                await anyio.lowlevel.checkpoint()
            order = (await house.wire.order()).body
        assert trades[-1]["order"] == str(order["orderId"])
        async with PaperAdmin(house.origin, TOKEN) as admin:
            assert await admin.end_streams("userData", how="closed") == 1
        while house.venue.engine.feed.is_heard(1):
            await anyio.lowlevel.checkpoint()
