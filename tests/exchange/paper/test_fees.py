"""Commissions: plainly of what is received, or in BNB at a discount while there is enough of it."""

from collections.abc import AsyncIterator
from decimal import ROUND_DOWN, Decimal
from typing import Any

import pytest
from binance.exceptions import BinanceAPIException

from botwarden.exchange.paper.admin import PaperAdmin
from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import KEY, TOKEN, House, price_of, say

pytestmark = pytest.mark.anyio

SYMBOLS = ["BTCUSDT", "BNBUSDT"]
MONEY = {"USDT": "100000", "BTC": "1", "BNB": "1"}
EIGHT = Decimal("0.00000001")


@pytest.fixture
async def burning(open_house: OpenHouse) -> AsyncIterator[House]:
    """A standing market, and an account that pays commissions in its one BNB."""
    async with open_house(speed=0.001, symbols=SYMBOLS, starting_balances=MONEY) as house:
        say(house, Decimal(500), symbol="BNBUSDT")
        say(house, Decimal(64_000))
        await house.client.toggle_bnb_burn_spot_margin(spotBNBBurn="true")
        yield house


def discounted(quote: Decimal, price: Decimal) -> Decimal:
    """Return three quarters of a thousandth, in BNB at this price."""
    return (quote * Decimal("0.00075") / price).quantize(EIGHT, ROUND_DOWN)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
async def test_bnb_is_cheaper(burning: House, side: str) -> None:
    """Each fill costs three quarters in BNB, valued at its price; what is received arrives whole."""
    bnb = Decimal(await burning.free("BNB"))
    before = {asset: Decimal(await burning.free(asset)) for asset in ("USDT", "BTC")}
    answer = await burning.client.create_order(symbol="BTCUSDT", side=side, type="MARKET", quantity="0.2")
    price = price_of(burning, "BNBUSDT")
    assert len(answer["fills"]) > 1
    fees = []
    for fill in answer["fills"]:
        assert fill["commissionAsset"] == "BNB"
        fees.append(Decimal(fill["commission"]))
        assert fees[-1] == discounted(Decimal(fill["price"]) * Decimal(fill["qty"]), price)
    sign = 1 if side == "BUY" else -1
    assert Decimal(await burning.free("BNB")) == bnb - sum(fees)
    assert Decimal(await burning.free("BTC")) == before["BTC"] + sign * Decimal("0.2")
    assert Decimal(await burning.free("USDT")) == before["USDT"] - sign * Decimal(
        answer["cummulativeQuoteQty"]
    )
    trades = await burning.client.get_my_trades(symbol="BTCUSDT", orderId=answer["orderId"])
    assert [trade["commission"] for trade in trades] == [fill["commission"] for fill in answer["fills"]]


async def test_the_asset_changes_in_the_middle_of_an_order(burning: House) -> None:
    """From the fill on that BNB does not suffice for, the commission is taken from what is received."""
    asks = (await burning.client.get_order_book(symbol="BTCUSDT"))["asks"]
    first = discounted(Decimal(asks[0][0]) * Decimal(asks[0][1]), price_of(burning, "BNBUSDT"))
    async with PaperAdmin(burning.origin, TOKEN) as admin:
        await admin.change_balance(KEY, "BNB", str(first - 1))
    wanted = Decimal(asks[0][1]) + Decimal(asks[1][1])
    answer = await burning.client.order_market_buy(symbol="BTCUSDT", quantity=str(wanted))
    assert [fill["commissionAsset"] for fill in answer["fills"]] == ["BNB", "BTC"]
    last = answer["fills"][1]
    assert Decimal(last["commission"]) == (Decimal(last["qty"]) / 1000).quantize(EIGHT, ROUND_DOWN)
    assert await burning.free("BNB") == "0.00000000"
    got = Decimal(answer["executedQty"]) - Decimal(last["commission"])
    assert Decimal(await burning.free("BTC")) == 1 + got


async def test_bnb_itself(burning: House) -> None:
    """Buying BNB pays its commission out of what is bought, at the same discount."""
    answer = await burning.client.order_market_buy(symbol="BNBUSDT", quantity="2")
    fees = sum(Decimal(fill["commission"]) for fill in answer["fills"])
    assert {fill["commissionAsset"] for fill in answer["fills"]} == {"BNB"}
    assert abs(fees - 2 * Decimal("0.00075")) < EIGHT * len(answer["fills"])
    assert Decimal(await burning.free("BNB")) == 3 - fees


async def test_a_maker_pays_too(burning: House) -> None:
    """An order on the book pays in BNB when it is filled."""
    price = f"{price_of(burning) * Decimal('0.99'):.2f}"
    placed = await burning.client.order_limit_buy(symbol="BTCUSDT", quantity="0.1", price=price)
    say(burning, Decimal(price) - 1)
    (trade,) = await burning.client.get_my_trades(symbol="BTCUSDT", orderId=placed["orderId"])
    assert (trade["commissionAsset"], trade["isMaker"]) == ("BNB", True)
    assert Decimal(trade["commission"]) == discounted(Decimal(price) / 10, price_of(burning, "BNBUSDT"))


async def test_the_choice_is_kept_and_shown(open_house: OpenHouse) -> None:
    """Who pays in BNB does so after a restart too; the commission endpoint says what is saved."""

    async def said(house: House) -> dict[str, Any]:
        answer = await house.wire.signed("GET", "account/commission", symbol="BTCUSDT")
        shown: dict[str, Any] = answer.body["discount"]
        return shown

    async with open_house(symbols=SYMBOLS, starting_balances=MONEY) as house:
        assert (await said(house))["enabledForAccount"] is False
        assert (await house.client.get_bnb_burn_spot_margin())["spotBNBBurn"] is False
        answer = await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.01")
        assert answer["fills"][0]["commissionAsset"] == "BTC"
        await house.client.toggle_bnb_burn_spot_margin(spotBNBBurn="true")
    async with open_house(symbols=SYMBOLS) as house:
        assert await said(house) == {
            "enabledForAccount": True,
            "enabledForSymbol": True,
            "discountAsset": "BNB",
            "discount": "0.75000000",
        }
        tested = await house.client.create_test_order(
            symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01", computeCommissionRates="true"
        )
        assert tested["standardCommissionForOrder"] == {"maker": "0.00100000", "taker": "0.00100000"}
        assert tested["discount"] == await said(house)


async def test_without_a_price_of_bnb_commissions_are_plain(open_house: OpenHouse) -> None:
    """Where BNB is not traded nothing can be valued in it."""
    async with open_house(symbols=["BTCUSDT"], starting_balances=MONEY) as house:
        await house.client.toggle_bnb_burn_spot_margin(spotBNBBurn="true")
        answer = await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.01")
        assert answer["fills"][0]["commissionAsset"] == "BTC"


async def test_fees_are_told(house: House) -> None:
    """The rates are told for one symbol or for all, and for none that does not exist."""
    plain = {"makerCommission": "0.00100000", "takerCommission": "0.00100000"}
    all_fees = await house.client.get_trade_fee()
    assert all_fees == [{"symbol": symbol, **plain} for symbol in ("BTCUSDT", "ETHUSDT")]
    assert await house.client.get_trade_fee(symbol="ETHUSDT") == all_fees[1:]
    with pytest.raises(BinanceAPIException, match="Invalid symbol"):
        await house.client.get_trade_fee(symbol="NOSUCH")
