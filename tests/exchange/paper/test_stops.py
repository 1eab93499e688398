"""Orders that wait for a price: the unmodified python-binance places them, and the market triggers them."""

from decimal import Decimal
from typing import Any

import pytest

from tests.exchange.paper.conftest import OpenHouse
from tests.exchange.paper.house import House, price_of, say

pytestmark = pytest.mark.anyio


async def place(house: House, side: str, kind: str, at: str, **more: Any) -> dict[str, Any]:
    """Place an order that waits for a price so many times the present one."""
    stop = f"{price_of(house) * Decimal(at):.2f}"
    wish = {"symbol": "BTCUSDT", "side": side, "type": kind, "quantity": "0.05", "stopPrice": stop}
    answer: dict[str, Any] = await house.client.create_order(
        **wish | {"newClientOrderId": "waits", "newOrderRespType": "RESULT"} | more
    )
    return answer


async def read(house: House) -> dict[str, Any]:
    found: dict[str, Any] = await house.client.get_order(symbol="BTCUSDT", origClientOrderId="waits")
    return found


async def balance(house: House, asset: str) -> tuple[Decimal, Decimal]:
    """Return free and locked."""
    held = await house.client.get_asset_balance(asset)
    return Decimal(held["free"]), Decimal(held["locked"])


@pytest.fixture
async def holder(house: House) -> House:
    """A house whose account has bought."""
    await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.1")
    return house


@pytest.mark.parametrize(
    ("side", "kind", "at", "then"),
    [
        ("SELL", "STOP_LOSS", "0.98", "0.98"),
        ("BUY", "STOP_LOSS", "1.02", "1.02"),
        ("SELL", "TAKE_PROFIT", "1.02", "1.03"),
        ("BUY", "TAKE_PROFIT", "0.98", "0.97"),
    ],
)
async def test_a_stop_waits_and_then_trades_at_market(
    holder: House, side: str, kind: str, at: str, then: str
) -> None:
    """It does not work before its price, takes what the book has then, and pays from what it locked."""
    start, before = price_of(holder), [await balance(holder, "USDT"), await balance(holder, "BTC")]
    placed = await place(holder, side, kind, at)
    assert (placed["status"], placed["workingTime"], placed["type"]) == ("NEW", -1, kind)
    assert Decimal(placed["stopPrice"]) == (start * Decimal(at)).quantize(Decimal("0.01"))
    waiting = await read(holder)
    assert (waiting["isWorking"], waiting["workingTime"], waiting["price"]) == (False, -1, "0.00000000")
    locked = (await balance(holder, "BTC" if side == "SELL" else "USDT"))[1]
    worth = Decimal("0.05") * (1 if side == "SELL" else Decimal(waiting["stopPrice"]))
    assert locked == worth
    say(holder, (start * (1 + Decimal(at)) / 2).quantize(Decimal("0.01")))
    assert (await read(holder))["status"] == "NEW"
    say(holder, (start * Decimal(then)).quantize(Decimal("0.01")))
    done = await read(holder)
    assert (done["status"], done["executedQty"], done["isWorking"]) == ("FILLED", "0.05000000", True)
    assert done["workingTime"] == done["updateTime"] >= done["time"]
    trades = await holder.client.get_my_trades(symbol="BTCUSDT", orderId=done["orderId"])
    assert not any(trade["isMaker"] for trade in trades)
    usdt, btc = await balance(holder, "USDT"), await balance(holder, "BTC")
    assert (usdt[1], btc[1]) == (0, 0)
    fees = {asset: Decimal(0) for asset in ("USDT", "BTC")}
    for trade in trades:
        fees[trade["commissionAsset"]] += Decimal(trade["commission"])
    sign = 1 if side == "SELL" else -1
    assert usdt[0] == sum(before[0]) + sign * Decimal(done["cummulativeQuoteQty"]) - fees["USDT"]
    assert btc[0] == sum(before[1]) - sign * Decimal("0.05") - fees["BTC"]


@pytest.mark.parametrize("kind", ["STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"])
async def test_a_stop_with_a_limit_rests_when_the_book_is_away(holder: House, kind: str) -> None:
    """Triggered where the limit is not reached, it works on the book as a maker and is filled there."""
    start = price_of(holder)
    at = "0.98" if kind == "STOP_LOSS_LIMIT" else "1.02"
    limit = f"{start * Decimal('1.05'):.2f}"
    await place(holder, "SELL", kind, at, price=limit, timeInForce="GTC")
    say(holder, (start * Decimal(at)).quantize(Decimal("0.01")))
    rests = await read(holder)
    assert (rests["status"], rests["isWorking"], rests["executedQty"]) == ("NEW", True, "0.00000000")
    assert (await balance(holder, "BTC"))[1] == Decimal("0.05")
    say(holder, Decimal(limit) + 1)
    filled = await read(holder)
    assert (filled["status"], filled["executedQty"]) == ("FILLED", "0.05000000")
    (trade,) = await holder.client.get_my_trades(symbol="BTCUSDT", orderId=filled["orderId"])
    assert (trade["isMaker"], Decimal(trade["price"])) == (True, Decimal(limit))


@pytest.mark.parametrize(
    ("in_force", "reason"),
    [("IOC", "UNFILLED_IOC_QUANTITY_EXPIRED"), ("FOK", "UNFILLED_FOK_ORDER_EXPIRED")],
)
async def test_a_triggered_stop_obeys_its_time_in_force(holder: House, in_force: str, reason: str) -> None:
    """What its limit does not allow when it is triggered expires, and the coins are free again."""
    start = price_of(holder)
    limit = f"{start * Decimal('1.05'):.2f}"
    await place(holder, "SELL", "STOP_LOSS_LIMIT", "0.98", price=limit, timeInForce=in_force)
    say(holder, (start * Decimal("0.97")).quantize(Decimal("0.01")))
    ended = await read(holder)
    assert (ended["status"], ended["expiryReason"]) == ("EXPIRED", reason)
    assert (await balance(holder, "BTC"))[1] == 0


async def test_a_triggered_purchase_never_overdraws(house: House) -> None:
    """A price that has jumped over the stop buys what the account can pay; the rest expires."""
    stop = price_of(house) * Decimal("1.01")
    quantity = (Decimal(99_990) / stop).quantize(Decimal("0.0001"), rounding="ROUND_DOWN")
    await place(house, "BUY", "STOP_LOSS", "1.01", quantity=str(quantity))
    say(house, (price_of(house) * Decimal("1.30")).quantize(Decimal("0.01")))
    ended = await read(house)
    assert (ended["status"], ended["expiryReason"]) == ("EXPIRED", "REJECTED")
    assert quantity * Decimal("0.7") < Decimal(ended["executedQty"]) < quantity
    free, locked = await balance(house, "USDT")
    assert free >= 0
    assert locked == 0


async def test_a_stop_can_be_cancelled(holder: House) -> None:
    """Cancelled before its price, it never trades."""
    start = price_of(holder)
    await place(holder, "SELL", "STOP_LOSS", "0.98")
    gone = await holder.client.cancel_order(symbol="BTCUSDT", origClientOrderId="waits")
    assert (gone["status"], gone["workingTime"]) == ("CANCELED", -1)
    assert (await balance(holder, "BTC"))[1] == 0
    say(holder, (start * Decimal("0.9")).quantize(Decimal("0.01")))
    assert (await read(holder))["executedQty"] == "0.00000000"


async def test_a_halted_market_triggers_nothing(holder: House) -> None:
    """While the symbol does not trade no stop is triggered; the next price afterwards does it."""
    start, symbol = price_of(holder), holder.venue.market.symbols["BTCUSDT"]
    await place(holder, "SELL", "STOP_LOSS", "0.98")
    symbol.status = "HALT"
    say(holder, (start * Decimal("0.97")).quantize(Decimal("0.01")))
    assert (await read(holder))["status"] == "NEW"
    symbol.status = "TRADING"
    say(holder, (start * Decimal("0.96")).quantize(Decimal("0.01")))
    assert (await read(holder))["status"] == "FILLED"


async def test_what_an_owner_says_about_strategies_is_kept(holder: House) -> None:
    """Ids of strategies are shown again with the order."""
    await place(holder, "SELL", "STOP_LOSS", "0.98", strategyId=37, strategyType=1_000_001)
    shown = await read(holder)
    assert (shown["strategyId"], shown["strategyType"]) == (37, 1_000_001)


async def test_a_trigger_that_nobody_asked_for_is_kept(open_house: OpenHouse) -> None:
    """A stop that was triggered is as durable as an order; one that was not is armed after a restart."""
    async with open_house() as house:
        await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.2")
        start = price_of(house)
        await place(house, "SELL", "STOP_LOSS", "0.98", newClientOrderId="near")
        await place(house, "SELL", "STOP_LOSS", "0.90")
        say(house, (start * Decimal("0.97")).quantize(Decimal("0.01")))
    async with open_house() as house:
        near = await house.client.get_order(symbol="BTCUSDT", origClientOrderId="near")
        assert (near["status"], (await read(house))["status"]) == ("FILLED", "NEW")
        assert (await balance(house, "BTC"))[1] == Decimal("0.05")
        say(house, (start * Decimal("0.89")).quantize(Decimal("0.01")))
        assert (await read(house))["status"] == "FILLED"
