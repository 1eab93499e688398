"""Orders of bots whose exchange deceives them and whose processes are doubled and killed.

Each test is named after a defect as it was demonstrated elsewhere (docs/peer-defects.md).
"""

from functools import partial

import pytest

from botwarden.exchange.paper.fault_events import StreamFault
from tests.system.fleet import together, trades

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(180)]


async def test_peer_defect_9_what_the_exchange_refuses_is_no_trade(fleet):
    """An order that is refused is shown as refused; nothing is booked or counted for it."""
    bot = await fleet.hire()
    async with fleet.fault(bot, executes="no", answer="error", code=-2010, times=None) as refusal:
        await fleet.start(bot)
        await refusal.reached("done")
        await fleet.until(lambda state: state["status"] == "error (order rejected)")
        assert await fleet.records(bot, "trades") == []
        assert {it["status"] for it in await fleet.records(bot, "orders")} == {"rejected"}
        assert (await fleet.state(bot))["daily_trades_count"] == 0
        assert await fleet.venue_orders(bot) == []


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param({"answer": "reset", "times": 2}, id="10_cut_twice"),
        pytest.param({"held": True, "waits": "after"}, id="11_slower_than_the_client_waits"),
    ],
)
async def test_peer_defects_10_and_11_a_lost_answer_is_asked_for(fleet, outcome):
    """An order whose answer is lost is sent once, found by its id, and booked with what it executed."""
    bot = await fleet.hire()
    async with fleet.fault(bot, **outcome) as order:
        await fleet.start(bot)
        await fleet.until(trades(3))
        await fleet.check_books()
        assert await order.matched() == len(await fleet.venue_orders(bot))


async def test_peer_defect_12_without_candles_nothing_is_ordered(fleet):
    """While the exchange gives no prices no order is sent, and the bot says why: prices are never made up."""
    bot = await fleet.hire(symbol="ETHUSDT")
    page = {"executes": "no", "answer": "html", "status": 500, "times": None}
    silence = await fleet.admin.add_fault(StreamFault(on="ethusdt@*", effect="drop", times=None))
    async with (
        fleet.fault(bot) as order,
        fleet.fault(None, "GET *", where={"symbol": "ETHUSDT"}, **page) as asked,
    ):
        await fleet.start(bot)
        await asked.reached("done", 4)
        state = await fleet.state(bot)
        assert (state["status"], await order.matched()) == ("error (price fetch)", 0)
    await fleet.admin.clear_faults(silence)
    await fleet.until(trades(1))
    await fleet.check_books()


async def test_peer_defects_4_5_and_20_two_workers_are_one(fleet):
    """Bots started four times at once through two replicas order once per signal, and nothing crashes."""
    await fleet.serve_both()
    before = fleet.crashes
    await together(*[fleet.hire] * 6)
    starts = [partial(fleet.start, bot, at=at) for bot in fleet.bots for at in fleet.world.replicas * 2]
    async with fleet.fault(None, delay_s=0.3, waits="after", times=None):
        await together(*starts)
        await fleet.until(trades(2))
    await fleet.check_books()
    assert fleet.crashes == before


async def test_peer_defect_1_a_killed_holder_has_ordered_once(fleet):
    """An order whose process is killed while it is in flight is found and booked by the other replica."""
    await fleet.serve_both()
    bot = await fleet.hire()
    async with fleet.fault(bot, held=True, waits="after") as order:
        await fleet.start(bot)
        await order.reached("executed")
        (await fleet.holder(bot)).kill()
    await fleet.until(trades(3))
    await fleet.check_books()
