"""ccxt as a second witness: the library as it is trades against the paper exchange, and clients agree.

What it reads of prices, money, orders and trades is what python-binance reads, digit by digit.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import anyio
import ccxt
import pytest

from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.faults import RequestFault
from tests.exchange.paper.ccxt_client import (
    PAIR,
    SYMBOL,
    Open,
    agree_on_money,
    all_orders,
    closing_clients,
    exact,
    far,
    heard,
    levels,
)
from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import KEY, SECRET, TOKEN, House, say

pytestmark = pytest.mark.anyio


@pytest.fixture
async def open_ccxt() -> AsyncIterator[Open]:
    """Makes clients of ccxt, closed afterwards."""
    async with closing_clients() as make:
        yield make


@pytest.fixture
def client(house: House, open_ccxt: Open) -> Any:
    """A client with the house's key."""
    return open_ccxt(house)


@pytest.fixture
async def still(open_house: OpenHouse) -> AsyncIterator[House]:
    """A market that stands until it is told to trade."""
    async with open_house(speed=0.001) as house:
        yield house


@pytest.fixture
async def admin(house: House) -> AsyncIterator[PaperAdmin]:
    """The client of the admin endpoints."""
    async with PaperAdmin(house.origin, TOKEN) as one:
        yield one


# What is read -----------------------------------------------------------------------------------------


async def test_markets_are_understood(client: Any) -> None:
    """Precision and limits of a market are those that exchangeInfo states."""
    market = (await client.load_markets())[PAIR]
    assert (market["id"], market["base"], market["quote"], market["active"]) == (SYMBOL, "BTC", "USDT", True)
    assert exact(market["precision"]["price"]) == Decimal("0.01")
    assert exact(market["precision"]["amount"]) == Decimal("0.00001")
    rules = {one["filterType"]: one for one in market["info"]["filters"]}
    limits = market["limits"]
    for limit, rule, least, most in (
        ("price", "PRICE_FILTER", "minPrice", "maxPrice"),
        ("amount", "LOT_SIZE", "minQty", "maxQty"),
        ("market", "MARKET_LOT_SIZE", "minQty", "maxQty"),
        ("cost", "NOTIONAL", "minNotional", "maxNotional"),
    ):
        assert exact(limits[limit]["min"]) == exact(rules[rule][least])
        assert exact(limits[limit]["max"]) == exact(rules[rule][most])


async def test_prices_are_those_that_python_binance_reads(still: House, open_ccxt: Open) -> None:
    """Candles, tickers, books and trades are the same by either client."""
    for step in range(3):
        say(still, Decimal(64_000 + step), quantity="0.25")
    ours, theirs = open_ccxt(still), still.client
    candles = await ours.fetch_ohlcv(PAIR, "1m", limit=50)
    rows = await theirs.get_klines(symbol=SYMBOL, interval="1m", limit=50)
    assert candles == [[row[0], *(float(cell) for cell in row[1:6])] for row in rows]

    ticker, day = await ours.fetch_ticker(PAIR), await theirs.get_ticker(symbol=SYMBOL)
    assert ticker["last"] == 64_002
    for name in ("bid", "ask", "last", "high", "low", "open"):
        assert exact(ticker[name]) == exact(day[f"{name}Price"])
    assert ticker["quoteVolume"] == float(day["quoteVolume"])

    book, levels_of = await ours.fetch_order_book(PAIR), await theirs.get_order_book(symbol=SYMBOL)
    assert len(book["bids"]) == 100
    assert levels(book["bids"]) == levels(levels_of["bids"])
    assert levels(book["asks"]) == levels(levels_of["asks"])

    trades, dealt = await ours.fetch_trades(PAIR), await theirs.get_aggregate_trades(symbol=SYMBOL)
    assert [exact(trade["price"]) for trade in trades[-3:]] == [64_000, 64_001, 64_002]
    assert [(one["id"], exact(one["amount"]), one["side"]) for one in trades] == [
        (str(one["a"]), exact(one["q"]), "sell" if one["m"] else "buy") for one in dealt
    ]


async def test_fees_are_known_beforehand(client: Any) -> None:
    """The rates that the library asks for are those that are taken."""
    fee = await client.fetch_trading_fee(PAIR)
    assert (exact(fee["maker"]), exact(fee["taker"])) == (Decimal("0.001"), Decimal("0.001"))


# What is traded ---------------------------------------------------------------------------------------


async def test_a_purchase_and_its_sale(house: House, client: Any) -> None:
    """Market orders by size and by cost fill; balances, fees and trades are what python-binance reads."""
    bought = await client.create_order(PAIR, "market", "buy", 0.01, params={"clientOrderId": "mine"})
    spent = await client.create_market_buy_order_with_cost(PAIR, 500)
    sold = await client.create_order(PAIR, "market", "sell", 0.005)
    assert [order["status"] for order in (bought, spent, sold)] == ["closed"] * 3
    assert (bought["clientOrderId"], exact(bought["filled"])) == ("mine", Decimal("0.01"))
    assert 490 < exact(spent["cost"]) <= 500
    assert (await client.fetch_order(bought["id"], PAIR))["clientOrderId"] == "mine"

    trades = await client.fetch_my_trades(PAIR)
    theirs = await house.client.get_my_trades(symbol=SYMBOL)
    assert {trade["order"] for trade in trades} == {bought["id"], spent["id"], sold["id"]}
    assert [
        (one["id"], exact(one["amount"]), exact(one["fee"]["cost"]), one["fee"]["currency"]) for one in trades
    ] == [
        (str(one["id"]), exact(one["qty"]), exact(one["commission"]), one["commissionAsset"])
        for one in theirs
    ]
    await agree_on_money(house, client)


async def test_orders_that_rest(house: House, client: Any) -> None:
    """Limits, stops and profits rest, are found and taken off; what is taken off is not there any more."""
    await client.create_order(PAIR, "market", "buy", 0.05)
    low, high = far(house)
    placed = [
        await client.create_order(PAIR, "limit", "buy", 0.01, low),
        await client.create_order(PAIR, "limit", "sell", 0.01, high, {"postOnly": True}),
        await client.create_order(PAIR, "market", "sell", 0.01, None, {"stopLossPrice": low}),
        await client.create_order(PAIR, "limit", "sell", 0.01, high, {"takeProfitPrice": high}),
    ]
    kinds = {str(order["orderId"]): order["type"] for order in await house.client.get_open_orders()}
    assert [kinds[order["id"]] for order in placed] == [
        "LIMIT",
        "LIMIT_MAKER",
        "STOP_LOSS",
        "TAKE_PROFIT_LIMIT",
    ]
    assert {order["id"] for order in await client.fetch_open_orders(PAIR)} == set(kinds)
    found = await client.fetch_order(placed[2]["id"], PAIR)
    assert (found["status"], exact(found["triggerPrice"])) == ("open", exact(low))
    await agree_on_money(house, client)

    assert (await client.cancel_order(placed[0]["id"], PAIR))["status"] == "canceled"
    await client.cancel_all_orders(PAIR)
    assert await client.fetch_open_orders(PAIR) == []
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(placed[0]["id"], PAIR)


async def test_an_order_is_exchanged_for_another(house: House, client: Any) -> None:
    """An edit takes the order off and places the new one, by REST and by WebSocket."""
    low, _ = far(house)
    first = await client.create_order(PAIR, "limit", "buy", 0.01, low)
    second = await client.edit_order(first["id"], PAIR, "limit", "buy", 0.01, low - 10)
    third = await client.edit_order_ws(second["id"], PAIR, "limit", "buy", 0.02, low - 20)
    statuses = {str(order["orderId"]): order["status"] for order in await all_orders(house)}
    assert statuses == {first["id"]: "CANCELED", second["id"]: "CANCELED", third["id"]: "NEW"}


async def test_a_list_of_two(house: House, client: Any) -> None:
    """An OCO, for which the library has only the bare call, is two open orders to it, and ends as one."""
    await client.create_order(PAIR, "market", "buy", 0.01)
    low, high = far(house)
    rules = {"aboveType": "LIMIT_MAKER", "abovePrice": high, "belowType": "STOP_LOSS", "belowStopPrice": low}
    made = await client.private_post_orderlist_oco(
        {"symbol": SYMBOL, "side": "SELL", "quantity": "0.005", **rules}
    )
    assert made["listOrderStatus"] == "EXECUTING"
    legs = await client.fetch_open_orders(PAIR)
    assert {leg["info"]["orderListId"] for leg in legs} == {made["orderListId"]}
    assert len(legs) == 2
    await client.cancel_order(legs[0]["id"], PAIR)
    assert await client.fetch_open_orders(PAIR) == []


# What is refused, and what is not known ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "error"),
    [
        (("market", "buy", 1.5), ccxt.InsufficientFunds),
        (("limit", "buy", 0.00001, 60_000), ccxt.BadRequest),
        (("limit", "buy", 0.01, 600_000_000), ccxt.InvalidOrder),
        (("limit", "buy", 9_001, 60_000), ccxt.InvalidOrder),
        (("limit", "buy", 0.01, 75_000, {"postOnly": True}), ccxt.OrderImmediatelyFillable),
        (("market", "buy", 0.01, None, {"stopLossPrice": 60_000}), ccxt.OrderImmediatelyFillable),
    ],
    ids=["too dear", "NOTIONAL", "PRICE_FILTER", "LOT_SIZE", "would take", "would trigger"],
)
async def test_refusals_have_their_class(
    still: House, open_ccxt: Open, order: tuple[Any, ...], error: type[Exception]
) -> None:
    """What the venue refuses arrives as the error that the library has for it."""
    say(still, Decimal(70_000))
    with pytest.raises(error) as caught:
        await open_ccxt(still).create_order(PAIR, *order)
    assert caught.type is error
    assert await all_orders(still) == []


async def test_an_order_that_is_not_there(client: Any) -> None:
    """Looking for an order that does not exist, or taking it off, is the same error by either door."""
    await client.load_markets()
    for ask in (client.fetch_order, client.cancel_order, client.fetch_order_ws, client.cancel_order_ws):
        with pytest.raises(ccxt.OrderNotFound):
            await ask("777", PAIR)


async def test_an_id_is_not_used_twice(house: House, client: Any) -> None:
    """A second order with the id of an open one is refused as invalid, not taken for the first."""
    low, _ = far(house)
    await client.create_order(PAIR, "limit", "buy", 0.01, low, {"clientOrderId": "once"})
    with pytest.raises(ccxt.InvalidOrder):
        await client.create_order(PAIR, "limit", "buy", 0.01, low, {"clientOrderId": "once"})
    assert len(await all_orders(house)) == 1


async def test_strangers_are_refused(house: House, open_ccxt: Open) -> None:
    """A key that is not known, and a secret that is not the key's, are told apart from everything else."""
    for key, secret in (("nobody" * 6, SECRET), (KEY, "wrong" * 6)):
        with pytest.raises(ccxt.AuthenticationError):
            await open_ccxt(house, key, secret).fetch_balance()


async def test_clocks_that_differ(client: Any, admin: PaperAdmin) -> None:
    """A request of another time is refused until the library has asked for the difference."""
    await client.load_markets()
    await admin.set_clock(offset_ms=60_000)
    with pytest.raises(ccxt.InvalidNonce):
        await client.create_order(PAIR, "market", "buy", 0.001)
    client.options["adjustForTimeDifference"] = True
    await client.load_time_difference()
    assert (await client.create_order(PAIR, "market", "buy", 0.001))["status"] == "closed"


async def test_too_many_requests(open_house: OpenHouse, open_ccxt: Open) -> None:
    """Who uses up the weight of a minute is told to stop, in the words for that."""

    async def read_again_and_again(client: Any) -> None:
        for _ in range(7):
            await client.fetch_balance()

    async with open_house(weight_limit=60) as house:
        with pytest.raises(ccxt.DDoSProtection):
            await read_again_and_again(open_ccxt(house))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"answer": "error", "code": -1007}, ccxt.RequestTimeout),
        ({"answer": "html", "status": 502}, ccxt.ExchangeNotAvailable),
        ({"answer": "closed"}, ccxt.NetworkError),
        ({"answer": "error", "code": -1003, "executes": "no"}, ccxt.DDoSProtection),
        ({"answer": "error", "code": -1015, "executes": "no"}, ccxt.DDoSProtection),
    ],
    ids=["unknown", "bad gateway", "cut off", "too much", "too many orders"],
)
async def test_what_faults_look_like(
    house: House, client: Any, admin: PaperAdmin, fault: dict[str, Any], error: type[Exception]
) -> None:
    """An executed order with a lost answer is a network error to the library; its id finds the order."""
    await client.load_markets()
    await admin.add_fault(RequestFault(on="POST order", **fault))
    with pytest.raises(error) as caught:
        await client.create_order(PAIR, "market", "buy", 0.001, params={"clientOrderId": "lost"})
    assert isinstance(caught.value, ccxt.NetworkError)
    was_executed = "executes" not in fault
    assert len(await all_orders(house)) == was_executed
    if was_executed:
        found = await client.fetch_order(None, PAIR, {"clientOrderId": "lost"})
        assert (found["status"], exact(found["filled"])) == ("closed", Decimal("0.001"))


# What is heard ----------------------------------------------------------------------------------------


async def until(house: House, *, is_heard: bool = True) -> None:
    """Return when somebody listens to the account, or nobody any more."""
    with anyio.fail_after(20):
        while house.venue.engine.feed.is_heard(1) != is_heard:
            await anyio.lowlevel.checkpoint()


async def test_streams_are_heard(house: House, client: Any) -> None:
    """Prices, trades, candles and books arrive by stream, all on what the market did."""
    await client.load_markets()
    market = house.venue.market.symbols[SYMBOL]
    got: dict[str, Any] = {}

    async def listen(name: str, *words: Any) -> None:
        got[name] = await heard(getattr(client, name)(PAIR, *words))

    async with anyio.create_task_group() as group:
        for name in ("watch_trades", "watch_ticker", "watch_order_book"):
            group.start_soon(listen, name)
        group.start_soon(listen, "watch_ohlcv", "1m")
    known = {str(trade.trade_id): Decimal(trade.price).scaleb(-8) for trade in market.recent}
    assert all(exact(trade["price"]) == known[trade["id"]] for trade in got["watch_trades"])
    assert exact(got["watch_ticker"]["last"]) in known.values()
    assert exact(got["watch_ohlcv"][-1][4]) in known.values()
    book = got["watch_order_book"]
    assert book["bids"][0][0] < book["asks"][0][0]


async def test_orders_are_placed_by_websocket(house: House, client: Any) -> None:
    """The WebSocket API places, finds and takes off orders, and knows what python-binance knows."""
    await client.load_markets()
    low, _ = far(house)
    # By the venue's own name: the library sends its own along, which the venue does not know.
    placed = await client.create_order_ws(PAIR, "limit", "buy", 0.001, low, {"newClientOrderId": "by-ws"})
    assert (await client.fetch_order_ws(placed["id"], PAIR))["status"] == "open"
    (theirs,) = await house.client.get_open_orders(symbol=SYMBOL)
    assert (str(theirs["orderId"]), theirs["clientOrderId"]) == (placed["id"], "by-ws")
    assert (await client.cancel_order_ws(placed["id"], PAIR))["status"] == "canceled"
    with pytest.raises(ccxt.InsufficientFunds):
        await client.create_order_ws(PAIR, "market", "buy", 10)
    assert len(await all_orders(house)) == 1


async def test_an_unknown_outcome_by_websocket(house: House, client: Any, admin: PaperAdmin) -> None:
    """An executed order whose answer is -1007 is a timeout on the WebSocket API too."""
    await client.load_markets()
    await admin.add_fault(RequestFault(on="WS order.place", answer="error", code=-1007))
    with pytest.raises(ccxt.RequestTimeout):
        await client.create_order_ws(PAIR, "market", "buy", 0.001)
    assert [order["status"] for order in await all_orders(house)] == ["FILLED"]


async def test_an_account_is_heard(house: House, client: Any) -> None:
    """An order that another client places is heard of as order, trade and balance, with the same numbers."""
    await client.load_markets()
    got: dict[str, Any] = {}

    async def listen(name: str, *words: Any) -> None:
        got[name] = await heard(getattr(client, name)(*words))

    placed, balances = {}, set()
    async with anyio.create_task_group() as group:
        group.start_soon(listen, "watch_orders", PAIR)
        group.start_soon(listen, "watch_my_trades", PAIR)
        group.start_soon(listen, "watch_balance")
        await until(house)
        while len(got) < 3:  # The library may begin to listen a little later than it has subscribed.
            order = (await house.wire.order()).body
            placed[str(order["orderId"])] = order
            balances.add(exact(await house.free("BTC")))
    assert got["watch_orders"][-1]["id"] in placed
    trade = got["watch_my_trades"][-1]
    (fill,) = placed[trade["order"]]["fills"]
    assert (trade["id"], exact(trade["fee"]["cost"])) == (str(fill["tradeId"]), exact(fill["commission"]))
    assert exact(got["watch_balance"]["BTC"]["free"]) in balances


async def test_a_lost_account_stream_is_found_again(house: House, client: Any, admin: PaperAdmin) -> None:
    """Ccxt subscribes again after its connection was cut, and hears the next order."""
    await client.load_markets()
    for _ in range(2):
        trades: list[Any] = []

        async def listen(trades: list[Any] = trades) -> None:
            with suppress(ccxt.NetworkError):
                trades.extend(await heard(client.watch_my_trades(PAIR)))
                return
            trades.extend(await heard(client.watch_my_trades(PAIR)))

        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            await until(house)
            placed = set()
            while not trades:
                placed.add(str((await house.wire.order()).body["orderId"]))
        assert trades[-1]["order"] in placed
        assert await admin.end_streams("userData", how="closed") == 1
        await until(house, is_heard=False)
