"""One order: sent at most once, asked about when its outcome is unknown, adopted only if it is ours."""

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from botwarden.actors.order import SendOnce
from botwarden.exchange.paper.faults import ReadLag
from botwarden.persistence.bots import Bot
from botwarden.trading.bot import HaltedBy, Status, Venue
from botwarden.trading.decisions import Signal
from botwarden.trading.orders import Executed, Side
from tests.actors.doors import Step
from tests.actors.house import CRASHED_PRICE, House, has_ended, is_open, is_settled
from tests.actors.life import MARGIN, PRICE, WINDOW, Life

pytestmark = pytest.mark.anyio


class OnPurposeError(Exception):
    """Raised on purpose."""


def test_permission_is_given_once():
    """The permission to send can be taken once, and never where it was not granted."""
    permission = SendOnce(granted=True)
    assert [permission.take(), permission.take()] == [True, False]
    assert not SendOnce(granted=False).take()


@pytest.mark.parametrize(("place", "status"), [(Step.SENDING, "absent"), (Step.ANSWERED, "filled")], ids=str)
async def test_an_order_actor_that_crashes_asks(house, place, status):
    """An order's actor that is started again never sends: it asks what became of the order."""
    life = await house.begin()
    bot = await house.running(life)
    life.doors.hold(place, raises=OnPurposeError())
    life.signal(bot, Signal.BUY)
    state = await house.until(bot, is_settled(1), passing=True)
    assert [order.status for order in await house.orders(bot)] == [status]
    assert state.in_position == (status == "filled")
    assert len(life.doors.placed) == 1
    [crash] = life.crashes
    assert crash.name.startswith("order:")
    await house.check_books(life)


#: Answers after which nobody knows whether the order was executed.
LOST = [
    {"answer": "closed"},
    {"answer": "reset"},
    {"answer": "half"},
    {"answer": "html", "status": 403},
    {"answer": "html", "status": 502},
    {"answer": "error", "code": -1000},
    {"answer": "error", "code": -1006},
    {"answer": "error", "code": -1007},
]


@pytest.mark.parametrize("lost", LOST, ids=lambda lost: "-".join(map(str, lost.values())))
async def test_an_unknown_outcome_is_asked_about(house, lost):
    """Whatever is no definite answer is asked about; what was executed is found, and was sent once."""
    life = await house.begin()
    bot = await house.running(life)
    sent = house.world.fault(executes="yes", times=None, **lost)
    life.signal(bot, Signal.BUY)
    state = await house.until(bot, is_settled(1), passing=True)
    assert state.in_position
    assert sent.counts["caught"] == len(await house.venue_orders(life)) == 1
    await house.check_books(life)


@pytest.mark.parametrize("place", [Step.INTENT_COMMITTED, Step.SENDING], ids=str)
async def test_an_exit_that_begins_too_late_is_decided_again(house, place):
    """Not begun within R/2 means never sent, and the exit is intended again at once, without a new price."""
    life = await house.begin()
    bot = await house.holding(life)
    stop = life.doors.hold(place)
    house.world.say(CRASHED_PRICE)
    await stop.meet()
    await house.world.clock.advance(WINDOW.total_seconds() / 2 + 0.001)
    stop.release()
    state = await house.until(bot, is_settled(3))
    assert [order.status for order in await house.orders(bot)] == ["filled", "never_sent", "filled"]
    assert not state.in_position
    assert [order.side for order in await house.venue_orders(life)] == ["BUY", "SELL"]
    await house.check_books(life)


@pytest.mark.parametrize("becomes", ["never_sent", "absent"])
async def test_a_strategys_exit_that_came_to_nothing_is_decided_again(house, becomes):
    """The strategy said SELL once, and its order was lost: the next price sells."""
    life = await house.begin()
    bot = await house.holding(life)
    if becomes == "never_sent":
        stop = life.doors.hold(Step.INTENT_COMMITTED)
    else:
        stop = life.doors.hold(Step.SENDING, raises=OnPurposeError())
    life.signal(bot, Signal.SELL)
    await stop.meet()
    if becomes == "never_sent":
        await house.world.clock.advance(WINDOW.total_seconds() / 2 + 0.001)
        stop.release()
    await house.until(bot, has_ended(2), passing=True)
    house.world.say(PRICE)
    state = await house.until(bot, is_settled(3), passing=True)
    assert [order.status for order in await house.orders(bot)] == ["filled", becomes, "filled"]
    assert (state.in_position, state.leaving) == (False, None)
    assert [order.side for order in await house.venue_orders(life)] == ["BUY", "SELL"]
    await house.check_books(life)


async def test_an_entry_that_begins_too_late_is_let_go(house):
    """An entry that was not begun within R/2 is never sent; only a new signal enters."""
    life = await house.begin()
    bot = await house.running(life)
    stop = life.doors.hold(Step.INTENT_COMMITTED)
    life.signal(bot, Signal.BUY)
    await stop.meet()
    await house.world.clock.advance(WINDOW.total_seconds() / 2 + 0.001)
    stop.release()
    state = await house.until(bot, is_settled(1))
    assert [order.status for order in await house.orders(bot)] == ["never_sent"]
    assert (state.in_position, state.daily_trades_count) == (False, 0)
    assert not life.doors.placed
    await house.check_books(life)


async def test_a_copy_that_comes_too_late_is_absent(house):
    """A request that reaches the engine after its window is refused there, and its order counts as absent."""
    life = await house.begin()
    bot = await house.running(life)
    fault = house.world.fault(name="late", held=True)
    life.signal(bot, Signal.BUY)
    await fault.reached("caught", 1)
    await life.crash()
    following = await house.begin()
    await house.pass_time((WINDOW + timedelta(milliseconds=100)).total_seconds())
    house.world.venue.faults.clear("late")
    await house.until(bot, is_settled(1), passing=True)
    assert [order.status for order in await house.orders(bot)] == ["absent"]
    assert not await house.venue_orders(following)
    await house.check_books(following)


async def test_absence_is_seen_twice_after_the_last_moment(house):
    """Absent only when the venue's clock is beyond R and the margin, and two looks 2 s apart find nothing."""
    life = await house.begin()
    bot = await house.running(life)
    house.world.fault(executes="no", answer="closed")
    looks = house.world.fault(on="GET order", times=None)
    life.signal(bot, Signal.BUY)
    state = await house.until(bot, is_open)
    [order] = await house.orders(bot)
    last_moment = order.intended_at + WINDOW + MARGIN

    seen: list[float] = []
    while is_open(state):
        before = looks.counts["done"]
        await house.pass_time(0.1)
        late_s = (house.world.clock.now() - last_moment).total_seconds()
        if looks.counts["done"] > before:
            seen.append(late_s)
        state = await house.state(bot)
    late = [moment for moment in seen if moment > 0]
    assert len(late) == 2
    assert late[1] - late[0] == pytest.approx(2.0, abs=0.2)
    assert len(seen) > 2, "it was asked about before, too"
    assert [order.status for order in await house.orders(bot)] == ["absent"]
    assert not await house.venue_orders(life)


async def test_what_reads_show_late_is_adopted(house):
    """An order that reads show only after the first look in vain is adopted, not called absent."""
    life = await house.begin()
    bot = await house.running(life)
    await house.world.admin.add_fault(ReadLag(name="lag"))
    looks = house.world.fault(on="GET order", times=None)
    house.world.fault(answer="closed")
    life.signal(bot, Signal.BUY)
    await house.until(bot, is_open)
    [order] = await house.orders(bot)
    last_moment = order.intended_at + WINDOW + MARGIN
    before = 0
    while house.world.clock.now() <= last_moment or looks.counts["done"] == before:
        before = looks.counts["done"]
        await house.pass_time(0.1)
    house.world.venue.faults.clear("lag")
    state = await house.until(bot, is_settled(1), passing=True)
    assert [order.status for order in await house.orders(bot)] == ["filled"]
    assert state.in_position
    await house.check_books(life)


async def test_an_order_that_a_list_shows_is_not_absent(house):
    """While the order query lags but a list shows the order, it stays open; then it is adopted."""
    life = await house.begin()
    bot = await house.running(life)
    await house.world.admin.add_fault(ReadLag(name="lag", on="GET order"))
    house.world.fault(answer="closed")
    life.signal(bot, Signal.BUY)
    await house.until(bot, is_open)
    await house.pass_time(30)
    assert is_open(await house.state(bot))
    house.world.venue.faults.clear("lag")
    await house.until(bot, is_settled(1), passing=True)
    assert [order.status for order in await house.orders(bot)] == ["filled"]
    await house.check_books(life)


#: What another order under our id may be like.
NOT_OURS = {
    "spends another amount": {"quantity_quote": Decimal(50)},
    "buys a quantity": {"quantity_quote": None, "quantity_base": Decimal("0.001")},
    "sells": {"side": Side.SELL, "quantity_quote": None, "quantity_base": Decimal("0.001")},
    "was placed before": {},
}


async def intended(house: House, life: Life) -> Bot:
    """Return a bot whose first order was intended and never leaves."""
    bot = await house.running(life)
    life.doors.hold(Step.SENDING)
    life.signal(bot, Signal.BUY)
    await house.until(bot, is_open)
    return bot


async def taken_id(house: House, differing: dict[str, object]) -> tuple[Life, Bot]:
    """Let another order stand under the id of a bot's order, which itself never leaves; begin a new life."""
    life = await house.begin()
    await house.holding(life)  # So that there is something to sell.
    bot = await intended(house, life)
    order = await house.open_order(bot)
    account = await life.exchange.account(Venue.PAPER, house.api_key_id)
    assert isinstance(await account.place(replace(order, **differing)), Executed)
    await account.close()
    if not differing:
        later = {"later": order.intended_at + timedelta(seconds=1.2), "bot": order.bot_id}
        async with house.database.begin() as tx:
            await tx.execute(text("UPDATE orders SET intended_at = :later WHERE bot_id = :bot"), later)
    await life.crash()
    return await house.begin(), bot


@pytest.mark.parametrize("differing", NOT_OURS.values(), ids=NOT_OURS)
async def test_what_does_not_match_is_unexplained(house, differing):
    """What stands under our id but is not our order is not booked, and the bot halts."""
    following, bot = await taken_id(house, differing)
    state = await house.until(bot, is_settled(1), passing=True)
    assert (state.status, state.halted_by) == (Status.ERROR_ORDER_UNEXPLAINED, HaltedBy.SYSTEM)
    assert (state.is_active, state.in_position, state.daily_trades_count) == (True, False, 0)
    assert "bw-" in state.last_error_message
    following.signal(bot, Signal.BUY)
    await house.pass_time(1)
    assert (await house.state(bot)).orders_made == 1
    assert not following.doors.placed


async def test_a_clock_that_jumped_is_measured_again(house):
    """An order that is refused for its time stamp mends the clock: the next signal's order is in time."""
    life = await house.begin()
    bot = await house.running(life)
    await house.world.admin.set_clock(offset_ms=60_000)
    try:
        life.signal(bot, Signal.BUY)
        await house.until(bot, is_settled(1))
        life.signal(bot, Signal.BUY)
        state = await house.until(bot, is_settled(2))
    finally:
        await house.world.admin.set_clock(offset_ms=0)
    assert [order.status for order in await house.orders(bot)] == ["rejected", "filled"]
    assert (state.in_position, state.status) == (True, Status.RUNNING)
    await house.check_books(life)
