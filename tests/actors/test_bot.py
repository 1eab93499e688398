"""One bot: what its owner writes wins, what is in doubt is read again, what its stop meets is sold."""

from datetime import timedelta
from decimal import Decimal

import anyio
import pytest
from anyio.lowlevel import checkpoint

from botwarden.persistence import halts
from botwarden.persistence.bots import Bot
from botwarden.persistence.errors import Doubtful
from botwarden.trading.bot import BotState, HaltedBy, Status
from botwarden.trading.decisions import CloseRequested, Signal, StatePut, StopRequested
from tests.actors.doors import Step
from tests.actors.house import CRASHED_PRICE, House, is_open, is_settled
from tests.actors.life import WINDOW, Life

pytestmark = pytest.mark.anyio

#: Where an entry is when its owner stops the bot, and whether it was intended by then.
MOMENTS = {
    Step.DECIDED: False,
    Step.INTENT_COMMITTED: True,
    Step.SENDING: True,
    Step.ANSWERED: True,
    Step.OUTCOME_COMMITTED: True,
}


def now(house: House):
    return house.world.clock.now()


def is_stopped(state: BotState) -> bool:
    return (state.status, state.halted_by, state.is_active) == (Status.STOPPED, HaltedBy.OWNER, False)


async def check_it_stays_stopped(house: House, life: Life, bot: Bot, orders: int) -> None:
    """Nothing makes the bot order anything any more, neither prices nor signals nor time."""
    house.world.say(CRASHED_PRICE)
    life.signal(bot, Signal.BUY)
    life.signal(bot, Signal.SELL)
    life.wake(bot.config.id)
    await house.pass_time(2)
    state = await house.state(bot)
    assert is_stopped(state)
    assert state.orders_made == orders == len(await house.venue_orders(life))
    assert state.in_position == (orders == 1)
    await house.check_books(life)


@pytest.mark.parametrize(("moment", "intended"), MOMENTS.items())
async def test_a_stop_wins_at_every_step(house, moment, intended):
    """Whenever its owner stops it, the bot stays stopped: what is in flight is booked, nothing follows."""
    life = await house.begin()
    bot = await house.running(life)
    stop = life.doors.hold(moment)
    life.signal(bot, Signal.BUY)
    await stop.meet()
    await house.obey(life, bot, StopRequested(at=now(house)))
    stop.release()
    await house.until(bot, is_settled(int(intended)))
    await check_it_stays_stopped(house, life, bot, int(intended))


@pytest.mark.parametrize("waits", ["before", "after"])
async def test_a_stop_while_the_order_is_at_the_venue(house, waits):
    """A stop while the venue holds the order does not undo it: its fill is booked, the bot stays stopped."""
    life = await house.begin()
    bot = await house.running(life)
    fault = house.world.fault(name="held", held=True, waits=waits)
    life.signal(bot, Signal.BUY)
    await fault.reached("caught", 1)
    await house.obey(life, bot, StopRequested(at=now(house)))
    house.world.venue.faults.clear("held")
    await house.until(bot, is_settled(1))
    await check_it_stays_stopped(house, life, bot, 1)


@pytest.mark.parametrize("moment", [Step.INTENT_WRITTEN, Step.OUTCOME_WRITTEN], ids=str)
async def test_a_stop_waits_for_the_commit_at_hand(house, moment):
    """A stop that meets a commit of the bot waits for it, and then it wins."""
    life = await house.begin()
    bot = await house.running(life)
    stop = life.doors.hold(moment)
    life.signal(bot, Signal.BUY)
    await stop.meet()
    async with anyio.create_task_group() as owner:
        owner.start_soon(house.obey, life, bot, StopRequested(at=now(house)))
        await checkpoint()
        stop.release()
    await house.until(bot, is_settled(1))
    await check_it_stays_stopped(house, life, bot, 1)


async def test_a_stop_while_an_exit_is_in_flight(house):
    """A stop while an exit is in flight books the sale, counters included, and withdraws nothing of it."""
    life = await house.begin()
    bot = await house.holding(life)
    stop = life.doors.hold(Step.ANSWERED)
    await house.obey(life, bot, CloseRequested(at=now(house)))
    house.world.say(CRASHED_PRICE)
    await stop.meet()
    await house.obey(life, bot, StopRequested(at=now(house)))
    stop.release()
    state = await house.until(bot, is_settled(2))
    assert is_stopped(state)
    assert (state.in_position, state.daily_trades_count, state.close_requested_at) == (False, 2, None)
    assert state.daily_pnl < 0
    await house.check_books(life)


async def test_a_stop_in_one_life_holds_in_the_next(house):
    """A stop that was answered while an order was in flight is obeyed by whoever takes the bot over."""
    life = await house.begin()
    bot = await house.running(life)
    stop = life.doors.hold(Step.ANSWERED)
    life.signal(bot, Signal.BUY)
    await stop.meet()
    await house.write(bot, StopRequested(at=now(house)))
    await life.crash()
    following = await house.begin()
    state = await house.until(bot, is_settled(1), passing=True)
    assert is_stopped(state)
    assert state.unwatched_position
    house.world.say(CRASHED_PRICE)
    await house.pass_time(2)
    assert await house.state(bot) == state
    assert len(await house.venue_orders(following)) == 1


async def test_an_owners_new_stop_price_is_decided_upon(house):
    """An exit whose owner lowered the stop-loss between decision and commit is not intended."""
    life = await house.begin()
    bot = await house.holding(life)
    stop = life.doors.hold(Step.DECIDED)
    house.world.say(CRASHED_PRICE)
    await stop.meet()
    lower = {"stop_loss_price": Decimal(50000)}
    await house.obey(life, bot, StatePut(changes=lower, at=now(house)))
    stop.release()
    await house.once(lambda: life.doors.batches[-1] == 0)
    await house.pass_time(2)
    state = await house.state(bot)
    assert (state.in_position, state.orders_made, state.stop_loss_price) == (True, 1, 50000)
    house.world.say("49000")
    await house.until(bot, is_settled(2))
    await house.check_books(life)


async def test_an_owners_put_does_not_lose_a_fill(house):
    """What its owner writes while an order is in flight stands, and the fill is booked onto it."""
    life = await house.begin()
    bot = await house.running(life)
    stop = life.doors.hold(Step.ANSWERED)
    life.signal(bot, Signal.BUY)
    await stop.meet()
    before = await house.obey(life, bot, StatePut(changes={"daily_pnl": Decimal(5)}, at=now(house)))
    stop.release()
    state = await house.until(bot, is_settled(1))
    assert (state.in_position, state.daily_pnl, state.daily_trades_count) == (True, 5, 1)
    assert state.version == before.version + 1
    await house.check_books(life)


@pytest.mark.parametrize("stands", [True, False], ids=["it stands", "it does not"])
async def test_doubt_about_an_intent(house, stands):
    """After a lost answer of COMMIT the row is read: an exit that stands is sent once, else intended anew."""
    life = await house.begin()
    bot = await house.holding(life)
    life.doors.hold(Step.INTENT_COMMITTED if stands else Step.INTENT_WRITTEN, raises=Doubtful())
    house.world.say(CRASHED_PRICE)
    state = await house.until(bot, is_settled(2), passing=True)
    assert not state.in_position
    assert [order.status for order in await house.orders(bot)] == ["filled", "filled"]
    assert len(life.doors.placed) == len(await house.venue_orders(life)) == 2
    await house.check_books(life)
    assert not life.crashes


@pytest.mark.parametrize("stands", [True, False], ids=["it stands", "it does not"])
async def test_doubt_about_a_settlement(house, stands):
    """After a lost answer of COMMIT an outcome is booked exactly once."""
    life = await house.begin()
    bot = await house.running(life)
    life.doors.hold(Step.OUTCOME_COMMITTED if stands else Step.OUTCOME_WRITTEN, raises=Doubtful())
    life.signal(bot, Signal.BUY)
    state = await house.until(bot, is_settled(1), passing=True)
    assert (state.in_position, state.daily_trades_count) == (True, 1)
    house.world.say(CRASHED_PRICE)
    await house.until(bot, is_settled(2), passing=True)
    assert len(await house.venue_orders(life)) == 2
    await house.check_books(life)
    assert not life.crashes


async def test_doubt_that_lasts_too_long(house):
    """An exit whose commit was in doubt for longer than R/2 is never sent, and intended anew."""
    life = await house.begin()
    bot = await house.holding(life)
    doubt = life.doors.hold(Step.INTENT_COMMITTED)
    house.world.say(CRASHED_PRICE)
    await doubt.meet()
    await house.world.clock.advance(WINDOW.total_seconds() / 2 + 0.1)
    doubt.release(raises=Doubtful())
    state = await house.until(bot, is_settled(3), passing=True)
    assert [order.status for order in await house.orders(bot)] == ["filled", "never_sent", "filled"]
    assert not state.in_position
    await house.check_books(life)


async def test_a_doubtful_intent_of_a_former_life_is_asked_about(house):
    """An intent that stands, in doubt when its process died, is an open order like any other: never sent."""
    life = await house.begin()
    bot = await house.running(life)
    life.doors.hold(Step.INTENT_COMMITTED, raises=Doubtful())
    life.signal(bot, Signal.BUY)
    await house.until(bot, is_open)
    await life.crash()
    following = await house.begin()
    await house.until(bot, is_settled(1), passing=True)
    assert [order.status for order in await house.orders(bot)] == ["absent"]
    assert not [*life.doors.placed, *following.doors.placed]
    await house.check_books(following)


async def test_a_stop_that_is_met_while_an_order_is_open_fires_afterwards(house):
    """A price that crosses the stop while the entry is still open sells right after it is settled."""
    life = await house.begin()
    bot = await house.running(life)
    fault = house.world.fault(name="held", held=True, waits="after")
    life.signal(bot, Signal.BUY)
    await fault.reached("executed", 1)
    house.world.say(CRASHED_PRICE)
    await house.once(lambda: life.actor("feed:paper:BTCUSDT").depth == 0)
    assert (await house.state(bot)).orders_made == 1
    house.world.venue.faults.clear("held")
    state = await house.until(bot, is_settled(2))
    assert [order.reason for order in await house.orders(bot)] == ["signal", "stop_loss"]
    assert not state.in_position
    await house.check_books(life)


async def test_a_price_that_touches_nothing_wakes_nobody(house):
    """Prices between the thresholds are not told to the bot; one that meets a threshold is."""
    life = await house.begin()
    bot = await house.holding(life)
    feed = life.actor("feed:paper:BTCUSDT").handled
    name = f"bot:{bot.config.id}"
    handled = life.actor(name).handled
    for price in ("64100", "63500", "64500", "63900"):
        house.world.say(price)
        await house.once(lambda before=feed: life.actor("feed:paper:BTCUSDT").handled > before)
        feed = life.actor("feed:paper:BTCUSDT").handled
    assert life.actor(name).handled == handled
    house.world.say("67000")
    await house.until(bot, is_settled(2))
    assert [order.reason for order in await house.orders(bot)] == ["signal", "take_profit"]


async def brake(house: House) -> None:
    """Put the account's emergency brake on."""
    async with house.database.begin() as tx:
        await halts.set_halt(tx, house.user_id, set_by=house.user_id)


async def test_the_brake_stops_entries_but_not_exits(house):
    """While the brake is on, a signal enters nothing and a stop still sells."""
    life = await house.begin()
    bot, flat = await house.holding(life), await house.running(life)
    await brake(house)
    life.signal(flat, Signal.BUY)
    house.world.say(CRASHED_PRICE)
    await house.until(bot, is_settled(2))
    await house.pass_time(1)
    assert (await house.state(flat)).orders_made == 0
    assert len(await house.venue_orders(life)) == 2
    await house.check_books(life)


async def test_the_brake_wins_against_a_decision(house):
    """An entry that was decided before the brake was put on and not yet committed is not intended."""
    life = await house.begin()
    bot = await house.running(life)
    stop = life.doors.hold(Step.DECIDED)
    life.signal(bot, Signal.BUY)
    await stop.meet()
    await brake(house)
    stop.release()
    await house.once(lambda: life.doors.batches[-1:] == [0])
    await house.pass_time(1)
    assert (await house.state(bot)).orders_made == 0
    assert not life.doors.placed


async def test_a_zombie_changes_nothing(house):
    """A process that lost its bots and wakes up again commits nothing, and its late request is refused."""
    zombie = await house.begin()
    bot = await house.running(zombie)
    stop = zombie.doors.hold(Step.SENDING)
    zombie.signal(bot, Signal.BUY)
    await stop.meet()
    await house.lose(zombie)
    following = await house.begin()
    await house.pass_time((WINDOW + timedelta(seconds=0.5)).total_seconds())
    stop.release()
    await house.until(bot, is_settled(1), passing=True)
    assert [order.status for order in await house.orders(bot)] == ["absent"]
    assert not await house.venue_orders(following)
    await house.once(lambda: not zombie.actor(f"bot:{bot.config.id}"), passing=True)
    await house.check_books(following)
    assert not zombie.crashes + following.crashes


async def test_a_zombie_that_wakes_in_time_is_found(house):
    """A request that a former holder sends within its window is the same order: adopted, never repeated."""
    zombie = await house.begin()
    bot = await house.running(zombie)
    stop = zombie.doors.hold(Step.SENDING)
    zombie.signal(bot, Signal.BUY)
    await stop.meet()
    await house.lose(zombie)
    looks = house.world.fault(on="GET order", times=None)
    following = await house.begin()
    await looks.reached("done", 1)
    stop.release()
    state = await house.until(bot, is_settled(1), passing=True)
    assert (state.in_position, state.daily_trades_count) == (True, 1)
    assert len(await house.venue_orders(following)) == 1
    house.world.say(CRASHED_PRICE)
    await house.until(bot, is_settled(2), passing=True)
    assert len(await house.venue_orders(following)) == 2
    await house.check_books(following)


async def test_a_refused_exit_is_repeated_in_peace(house):
    """An exit that the venue refuses is intended again after a pause, not as fast as the venue can refuse."""
    life = await house.begin()
    bot = await house.holding(life)
    refused = house.world.fault(executes="no", answer="error", code=-1013, times=None)
    house.world.say(CRASHED_PRICE)
    await house.until(bot, is_settled(2))
    await house.pass_time(4)
    assert refused.counts["caught"] == 1
    await house.pass_time(4)
    assert refused.counts["caught"] == 2
    house.world.venue.faults.clear()
    state = await house.until(bot, is_settled(4), passing=True)
    assert not state.in_position
    await house.check_books(life)
