"""Orders against a book with depth: what is shown is what is to be had, and what was taken is gone."""

import json
from decimal import Decimal
from typing import Any

import anyio
import pytest
from binance.exceptions import BinanceAPIException

from botwarden.exchange.paper.admin import PaperAdmin
from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import TOKEN, House, client_of, price_of, say

pytestmark = pytest.mark.anyio


@pytest.fixture
async def still(open_house: OpenHouse) -> Any:
    """A market that stands: the next price comes in an hour."""
    async with open_house(speed=0.001, symbols=["BTCUSDT"]) as house:
        say(house, Decimal(64_000))
        yield house


async def depth(house: House) -> dict[str, list[tuple[Decimal, Decimal]]]:
    shown = await house.client.get_order_book(symbol="BTCUSDT")
    return {side: [(Decimal(p), Decimal(q)) for p, q in shown[side]] for side in ("bids", "asks")}


async def thin(house: House, liquidity: int) -> None:
    """Let there be so much on the book, of the usual hundred."""
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.change_symbols("BTCUSDT", liquidity=liquidity)


async def test_a_market_order_walks_the_shown_levels(still: House) -> None:
    """Fills are the levels that GET depth shows, from the best on, and the last one in part."""
    asks = (await depth(still))["asks"]
    wanted = sum((quantity for _, quantity in asks[:3]), Decimal(0)) + asks[3][1] / 2
    wanted = wanted.quantize(Decimal("0.00001"))
    bought = await still.client.order_market_buy(symbol="BTCUSDT", quantity=str(wanted))
    fills = [(Decimal(fill["price"]), Decimal(fill["qty"])) for fill in bought["fills"]]
    left = wanted - sum(quantity for _, quantity in asks[:3])
    assert fills == [*asks[:3], (asks[3][0], left)]


async def test_what_was_taken_is_gone_until_the_next_price(still: House) -> None:
    """The next order, of anybody, begins where the last one ended; a new price brings a new book."""
    before = await depth(still)
    first = before["asks"][0][1]
    await still.client.order_market_buy(symbol="BTCUSDT", quantity=str(first))
    after = await depth(still)
    assert after["asks"] == before["asks"][1:]
    assert after["bids"] == before["bids"]
    still.venue.engine.register("other", "secret", None)
    other = client_of(still.origin, key="other", secret="secret")
    try:
        again = await other.order_market_buy(symbol="BTCUSDT", quantity="0.001")
    finally:
        await other.session.close()
    assert Decimal(again["fills"][0]["price"]) == before["asks"][1][0]
    ticker = await still.client.get_orderbook_ticker(symbol="BTCUSDT")
    assert Decimal(ticker["askPrice"]) == before["asks"][1][0]
    assert Decimal(ticker["askQty"]) == before["asks"][1][1] - Decimal("0.001")
    say(still, price_of(still))
    assert len((await depth(still))["asks"]) == 100


@pytest.mark.parametrize("size", [{"quantity": "1"}, {"quoteOrderQty": "60000"}])
async def test_a_thin_book_fills_in_part(still: House, size: dict[str, str]) -> None:
    """A market order that empties the book keeps what it has, and expires for want of liquidity."""
    await thin(still, 1)
    asks = (await depth(still))["asks"]
    answer = await still.client.create_order(symbol="BTCUSDT", side="BUY", type="MARKET", **size)
    assert (answer["status"], answer["expiryReason"]) == ("EXPIRED", "INSUFFICIENT_LIQUIDITY")
    assert Decimal(answer["executedQty"]) == sum(quantity for _, quantity in asks)
    assert (await depth(still))["asks"] == []
    assert await still.free("BTC") != "0.00000000"


async def test_an_empty_book_fills_nothing(still: House) -> None:
    """Without anything on the book a market order expires as it came, and prices of the book are zero."""
    await thin(still, 0)
    answer = await still.client.order_market_buy(symbol="BTCUSDT", quantity="0.01")
    assert (answer["status"], answer["executedQty"], answer["fills"]) == ("EXPIRED", "0.00000000", [])
    assert answer["expiryReason"] == "INSUFFICIENT_LIQUIDITY"
    assert await still.free("USDT") == "100000.00000000"
    ticker = await still.client.get_orderbook_ticker(symbol="BTCUSDT")
    assert (ticker["askPrice"], ticker["bidQty"]) == ("0.00000000", "0.00000000")
    assert (await still.client.get_ticker(symbol="BTCUSDT"))["askPrice"] == "0.00000000"
    await thin(still, 100)
    assert (await still.client.order_market_buy(symbol="BTCUSDT", quantity="0.01"))["status"] == "FILLED"


async def test_a_limit_takes_what_it_may_and_rests(still: House) -> None:
    """A limit order takes the levels within its price; the rest waits and is filled in part, and whole."""
    asks = (await depth(still))["asks"]
    limit, there = asks[1][0], asks[0][1] + asks[1][1]
    placed = await still.client.order_limit_buy(
        symbol="BTCUSDT", quantity=str(there + Decimal("0.3")), price=f"{limit:.2f}", newClientOrderId="rests"
    )
    assert (placed["status"], Decimal(placed["executedQty"])) == ("PARTIALLY_FILLED", there)
    locked = Decimal((await still.client.get_asset_balance("USDT"))["locked"])
    assert locked == Decimal("0.3") * limit
    for traded, left, status in (("0.1", "0.2", "PARTIALLY_FILLED"), ("0.5", "0", "FILLED")):
        say(still, limit, quantity=traded)
        order = await still.client.get_order(symbol="BTCUSDT", origClientOrderId="rests")
        assert order["status"] == status
        assert Decimal(order["origQty"]) - Decimal(order["executedQty"]) == Decimal(left)
        locked = Decimal((await still.client.get_asset_balance("USDT"))["locked"])
        assert locked == Decimal(left) * limit
    makers = await still.client.get_my_trades(symbol="BTCUSDT", orderId=placed["orderId"])
    assert [trade["isMaker"] for trade in makers] == [False, False, True, True]


async def test_the_older_order_is_filled_first(still: House) -> None:
    """At their own price resting orders share what was traded, by age; beyond it all are filled."""
    price = f"{price_of(still) * Decimal('0.99'):.2f}"
    for name in ("old", "young"):
        await still.client.order_limit_buy(
            symbol="BTCUSDT", quantity="0.1", price=price, newClientOrderId=name
        )

    async def executed() -> list[Decimal]:
        read = still.client.get_order
        orders = [await read(symbol="BTCUSDT", origClientOrderId=name) for name in ("old", "young")]
        return [Decimal(order["executedQty"]) for order in orders]

    say(still, Decimal(price), quantity="0.15")
    assert await executed() == [Decimal("0.1"), Decimal("0.05")]
    say(still, Decimal(price) - 1)
    assert await executed() == [Decimal("0.1"), Decimal("0.1")]


async def test_cancels_can_be_restricted(still: House) -> None:
    """A cancel that is meant for untouched orders only leaves alone what was filled in part."""
    price = f"{price_of(still) * Decimal('0.99'):.2f}"
    await still.client.order_limit_buy(symbol="BTCUSDT", quantity="0.1", price=price, newClientOrderId="one")
    wish = {"symbol": "BTCUSDT", "origClientOrderId": "one"}
    with pytest.raises(BinanceAPIException, match="cancel restrictions") as refused:
        await still.client.cancel_order(**wish, cancelRestrictions="ONLY_PARTIALLY_FILLED")
    assert refused.value.code == -2011
    say(still, Decimal(price), quantity="0.05")
    with pytest.raises(BinanceAPIException, match="cancel restrictions"):
        await still.client.cancel_order(**wish, cancelRestrictions="ONLY_NEW")
    with pytest.raises(BinanceAPIException) as unknown:
        await still.client.cancel_order(**wish, cancelRestrictions="ONLY_OLD")
    assert unknown.value.code == -1145
    gone = await still.client.cancel_order(**wish, cancelRestrictions="ONLY_PARTIALLY_FILLED")
    assert (gone["status"], gone["executedQty"]) == ("CANCELED", "0.05000000")


async def test_a_local_book_follows_the_changes(still: House) -> None:
    """A snapshot and the changes after it, without a gap between them, make the book that GET depth shows."""
    async with still.wire.http.ws_connect(still.origin + "/ws/btcusdt@depth@100ms") as socket:
        snapshot = await still.client.get_order_book(symbol="BTCUSDT")
        book = {side: dict(snapshot[side]) for side in ("bids", "asks")}
        last = snapshot["lastUpdateId"]
        for _ in range(2):
            await still.client.order_market_buy(symbol="BTCUSDT", quantity="0.5")
            say(still, price_of(still) + 5)
            with anyio.fail_after(20):
                change = json.loads((await socket.receive()).data)
            assert change["e"] == "depthUpdate"
            assert change["U"] <= last + 1 <= change["u"]
            last = change["u"]
            for side, changed in (("bids", change["b"]), ("asks", change["a"])):
                book[side] = {p: q for p, q in (book[side] | dict(changed)).items() if Decimal(q)}
    now = await still.client.get_order_book(symbol="BTCUSDT")
    assert now["lastUpdateId"] == last
    assert book == {side: dict(now[side]) for side in ("bids", "asks")}
