"""What an account is told: every change of its orders, also those that nobody asked for."""

from decimal import Decimal

import pytest

from botwarden.exchange.paper.admin import PaperAdmin
from botwarden.exchange.paper.amounts import units
from botwarden.exchange.paper.reports import (
    BalancesReport,
    Feed,
    ListReport,
    MovedReport,
    OrderReport,
    Report,
)
from tests.exchange.paper.house import KEY, TOKEN, House, price_of, say

pytestmark = pytest.mark.anyio


def listened(house: House) -> list[Report]:
    """Return a list that everything is put into from now on."""
    told: list[Report] = []
    house.venue.engine.feed.listen(house.venue.engine.accounts.by_key[KEY].account_id, told.extend)
    return told


def orders(told: list[Report]) -> list[tuple[str, str, str]]:
    """Return name, execution and status of each report of an order."""
    return [
        (it.order.client_order_id, it.execution, it.order.status)
        for it in told
        if isinstance(it, OrderReport)
    ]


async def test_a_purchase_is_told_step_by_step(house: House) -> None:
    """New, each fill with its trade, the status as it was then, and the balances at the end."""
    told = listened(house)
    answer = await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.3", newClientOrderId="one")
    count = len(answer["fills"])
    assert count > 1
    assert orders(told) == [
        ("one", "NEW", "NEW"),
        *[("one", "TRADE", "PARTIALLY_FILLED")] * (count - 1),
        ("one", "TRADE", "FILLED"),
    ]
    fills = [it for it in told if isinstance(it, OrderReport) and it.trade is not None]
    assert [it.trade.trade_id for it in fills if it.trade] == [fill["tradeId"] for fill in answer["fills"]]
    executed = [it.order.executed for it in fills]
    assert executed == sorted(executed)
    assert executed[-1] == units("0.3")
    ids = [it.report_id for it in told if isinstance(it, OrderReport)]
    assert ids == sorted(set(ids))
    last = told[-1]
    assert isinstance(last, BalancesReport)
    assert last.balances["BTC"] == (units(await house.free("BTC")), 0)


async def test_a_cancel_tells_its_own_id(house: House) -> None:
    """The report of a cancel holds the id of the request and that of the order."""
    price = f"{price_of(house) / 2:.2f}"
    await house.client.order_limit_buy(
        symbol="BTCUSDT", quantity="0.1", price=price, newClientOrderId="rests"
    )
    told = listened(house)
    await house.client.cancel_order(symbol="BTCUSDT", origClientOrderId="rests", newClientOrderId="cancel")
    [report] = [it for it in told if isinstance(it, OrderReport)]
    assert (report.execution, report.cancel_id, report.order.client_order_id) == (
        "CANCELED", "cancel", "rests",
    )  # fmt: skip


async def test_triggers_are_told(house: House) -> None:
    """A list that a price ends is told without anybody asking: the leg that goes, the list, the sale."""
    await house.client.order_market_buy(symbol="BTCUSDT", quantity="0.01")
    told, price = listened(house), price_of(house)
    await house.client.create_oco_order(
        symbol="BTCUSDT", side="SELL", quantity="0.005", aboveType="LIMIT_MAKER",
        abovePrice=f"{price * Decimal('1.02'):.2f}", aboveClientOrderId="up",
        belowType="STOP_LOSS", belowStopPrice=f"{price * Decimal('0.98'):.2f}", belowClientOrderId="down",
    )  # fmt: skip
    assert orders(told) == [("down", "NEW", "NEW"), ("up", "NEW", "NEW")]
    assert [it.is_done for it in told if isinstance(it, ListReport)] == [False]
    told.clear()
    say(house, (price * Decimal("0.97")).quantize(Decimal("0.01")))
    assert orders(told)[:2] == [("up", "EXPIRED", "EXPIRED"), ("down", "NEW", "NEW")]
    assert orders(told)[-1] == ("down", "TRADE", "FILLED")
    assert [it.is_done for it in told if isinstance(it, ListReport)] == [True]
    [expired] = [it for it in told if isinstance(it, OrderReport) and it.execution == "EXPIRED"]
    assert expired.order.expiry_reason == "OCO_TRIGGER"


async def test_money_from_outside_is_told(house: House) -> None:
    """What comes without an order is reported with what is there then."""
    told = listened(house)
    async with PaperAdmin(house.origin, TOKEN) as admin:
        await admin.change_balance(KEY, "ETH", "2.5")
    moved, balances = told
    assert isinstance(moved, MovedReport)
    assert (moved.asset, moved.change) == ("ETH", units("2.5"))
    assert isinstance(balances, BalancesReport)
    assert balances.balances == {"ETH": (units("2.5"), 0)}


async def test_who_stops_listening_hears_nothing() -> None:
    """Each listener hears until it ends, and only of its account."""
    feed = Feed()
    one: list[Report] = []
    two: list[Report] = []
    end = feed.listen(1, one.extend)
    feed.listen(1, two.extend)
    report = MovedReport("BTC", 1, 0)
    feed.tell(1, [report])
    feed.tell(2, [report])
    end()
    end()
    feed.tell(1, [report])
    assert (len(one), len(two)) == (1, 2)
    assert (feed.is_heard(1), feed.is_heard(2)) == (True, False)
    assert feed.next_report_id(5) < feed.next_report_id(5) < feed.next_report_id(6)
