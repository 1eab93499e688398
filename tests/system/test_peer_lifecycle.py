"""One power cut, for bots in every delicate moment: what a restart must neither repeat nor forget.

All are brought to their moment, every replica is killed, and later one starts; each test looks at one bot.
The numbers are those of docs/peer-defects.md.
"""

import contextlib
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import anyio
import httpx
import pytest

from chaos.world import until
from tests.system.fleet import PATIENCE_S, Fleet, Hired, together, trades

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(180)]


@dataclass
class PowerCut:
    """The bots, by what they were doing, and who asks for them."""

    fleet: Fleet
    #: Its order was executed, and the answer was on its way.
    ordering: Hired
    #: The same, and an hour went by.
    forgotten: Hired
    #: Its request was on its way, and reached the exchange after the restart.
    overtaken: Hired
    #: Its owner stopped it while its order was in flight.
    leaving: Hired
    #: Its owner had stopped it, and midnight passed meanwhile.
    resting: Hired
    #: It ran, had traded, and midnight passed meanwhile.
    busy: Hired


@pytest.fixture(scope="module")
async def cut(town):
    """Everything as it is after the power came back."""
    await town.begin()
    it = PowerCut(town, *[await town.hire() for _ in range(6)])
    await together(partial(town.start, it.resting), partial(town.start, it.busy))
    await town.until(trades(1), it.resting, it.busy)
    await town.ask("POST", f"/bots/{it.resting.id}/stop")
    async with AsyncExitStack() as faults:
        hold = partial(town.fault, held=True)
        answers = [await faults.enter_async_context(hold(bot, waits="after")) for bot in _answered(it)]
        late = await faults.enter_async_context(hold(it.overtaken, waits="before"))
        await together(*[partial(town.start, bot) for bot in (*_answered(it), it.overtaken)])
        await together(*[partial(answer.reached, "executed") for answer in answers])
        await late.reached("caught")
        await _stop_amid_the_order(it)
        await _sleep_for_long(it)
        await town.serve_one()
        assert await until(partial(_is_too_late, it), within_s=PATIENCE_S)
        await late.admin.release_fault(late.name)
        await late.reached("refused")
    yield it
    await town.end()


def _answered(it):
    return it.ordering, it.forgotten, it.leaving


async def _stop_amid_the_order(it):
    """Cut the power right after the stop has been committed, before it could be answered."""

    async def stop():
        with contextlib.suppress(httpx.TransportError):
            await it.fleet.ask("POST", f"/bots/{it.leaving.id}/stop")

    async with anyio.create_task_group() as owner:
        owner.start_soon(stop)
        await it.fleet.until(lambda state: state["status"] == "stopped", it.leaving)
        it.fleet.kill_all()


async def _sleep_for_long(it):
    """Let an hour pass for one order, and midnight for two bots."""
    sql = it.fleet.sql
    await sql(
        "UPDATE orders SET intended_at = intended_at - interval '3700 s' WHERE bot_id = $1", it.forgotten.id
    )
    await sql(_STATES_OF_YESTERDAY, [it.resting.id, it.busy.id])
    await sql(_TRADES_OF_YESTERDAY, [it.resting.id, it.busy.id])
    await sql("DELETE FROM daily_resets")


async def _is_too_late(it):
    [row] = await it.fleet.sql(
        "SELECT now() > max(intended_at) + interval '3 s' AS late FROM orders WHERE bot_id = $1",
        it.overtaken.id,
    )
    return row["late"]


async def test_peer_defect_2_a_restart_finds_the_order_and_does_not_buy_again(cut):
    """An order in flight when all processes died is asked about, booked once, and followed by its sale."""
    await cut.fleet.until(trades(3), cut.ordering)
    await cut.fleet.check_books(cut.ordering)


async def test_peer_defect_3_an_order_of_an_hour_ago_is_not_sent_again(cut):
    """However old an open order is, it is only ever asked about."""
    await cut.fleet.until(trades(3), cut.forgotten)
    await cut.fleet.check_books(cut.forgotten)


async def test_peer_defect_3_a_request_that_comes_late_is_refused(cut):
    """What reaches the exchange after its window does not happen; the bot buys once, by a new signal."""
    await cut.fleet.until(trades(1), cut.overtaken)
    await cut.fleet.check_books(cut.overtaken)
    [first, *_] = await cut.fleet.records(cut.overtaken, "orders")
    assert first["status"] == "absent"


async def test_peer_defect_8_a_stop_during_the_order_is_not_lost(cut):
    """The order is booked by the next process, and the bot stays stopped, with its position."""
    await cut.fleet.until(trades(1), cut.leaving)
    state = await cut.fleet.state(cut.leaving)
    assert (state["status"], state["halted_by"], state["in_position"]) == ("stopped", "owner", True)
    assert len(await cut.fleet.venue_orders(cut.leaving)) == 1
    await cut.fleet.check_books(cut.leaving)


async def test_peer_defect_17_midnight_wakes_nobody_whom_an_owner_stopped(cut):
    """The turn of the day reaches a stopped bot and leaves it stopped; one that ran runs on."""
    await cut.fleet.until(trades(1), cut.busy)
    [*_, turn] = await cut.fleet.records(cut.resting, "events")
    state = await cut.fleet.state(cut.resting)
    assert turn["kind"] == "day.turned"
    assert (state["status"], state["halted_by"], state["daily_trades_count"]) == ("stopped", "owner", 0)
    assert (await cut.fleet.ask("GET", f"/bots/{cut.busy.id}"))["is_active"]


async def test_peer_defect_18_yesterdays_trades_do_not_count_today(cut):
    """After midnight the counter of a bot begins at zero and counts the trades of the new day alone."""
    await cut.fleet.until(trades(1), cut.busy)
    await cut.fleet.check_books(cut.busy)
    state = await cut.fleet.state(cut.busy)
    [*_, yesterday, today] = (await cut.fleet.ask("GET", f"/bots/{cut.busy.id}/pnl"))["days"]
    assert yesterday["trades"] >= 1
    assert today["trades"] == state["daily_trades_count"]


_STATES_OF_YESTERDAY = "UPDATE bot_states SET trading_day = trading_day - 1 WHERE bot_id = ANY ($1)"
_TRADES_OF_YESTERDAY = """
    UPDATE trades SET trading_day = trading_day - 1, executed_at = executed_at - interval '1 day'
    WHERE bot_id = ANY ($1)
"""
