"""What a strategy says is decided upon, also when it was said at a bad moment."""

from datetime import timedelta
from decimal import Decimal

import pytest

from botwarden.actors.hearing import Hearing
from botwarden.persistence import resets
from botwarden.persistence.errors import Doubtful
from botwarden.trading.decisions import CloseRequested, Signal, StatePut, StopRequested
from tests.actors.doors import Step
from tests.actors.house import is_settled
from tests.persistence.examples import rows

pytestmark = pytest.mark.anyio


async def test_a_sell_signal_during_an_open_order_is_carried_out_afterwards(house):
    """A strategy that changes its mind while its entry is at the venue leaves as soon as it is filled."""
    life = await house.begin()
    bot = await house.running(life)
    stop = life.doors.hold(Step.ANSWERED)
    life.signal(bot, Signal.BUY)
    await stop.meet()
    life.signal(bot, Signal.SELL)
    life.signal(bot, Signal.HOLD)
    stop.release()
    state = await house.until(bot, is_settled(2))
    assert not state.in_position
    assert [order.reason for order in await house.orders(bot)] == ["signal", "signal"]
    await house.check_books(life)


@pytest.mark.parametrize("moment", [Step.DECIDED, Step.INTENT_WRITTEN, Step.INTENT_COMMITTED], ids=str)
async def test_a_signal_whose_commit_fails_is_decided_upon_again(house, moment):
    """An entry whose commit failed or is in doubt happens once, when the database answers again."""
    life = await house.begin()
    bot = await house.running(life)
    life.doors.hold(moment, raises=Doubtful())
    life.signal(bot, Signal.BUY)
    state = await house.until(bot, is_settled(1), passing=True)
    assert state.in_position
    await house.pass_time(3)
    assert len(await house.venue_orders(life)) == 1
    await house.check_books(life)


async def test_an_owners_stop_ends_the_wait(house):
    """A signal that came while nothing could be decided dies with its owner's stop."""
    life = await house.begin()
    bot = await house.running(life)
    stop = life.doors.hold(Step.ANSWERED)
    life.signal(bot, Signal.BUY)
    await stop.meet()
    life.signal(bot, Signal.SELL)
    await house.obey(life, bot, StopRequested(at=house.world.clock.now()))
    stop.release()
    state = await house.until(bot, is_settled(1), passing=True)
    await house.pass_time(2)
    assert (state.in_position, (await house.state(bot)).orders_made) == (True, 1)


async def test_a_signal_at_the_turn_of_the_day_is_heard(house):
    """The candle that closes at midnight finds its bot not adopted yet for the new day, and still counts."""
    life = await house.begin()
    bot = await house.holding(life)
    tomorrow = house.world.clock.now().date() + timedelta(days=1)
    async with house.database.begin() as tx:
        await resets.reset_day(tx, tomorrow)
    life.signal(bot, Signal.SELL)
    life.wake(bot.config.id)
    state = await house.until(bot, is_settled(2), passing=True)
    assert (state.in_position, state.trading_day) == (False, tomorrow)


async def test_a_close_that_finds_dust_tells_the_trail_so(house):
    """A close request that ends with too little to sell stops the bot, and the trail says that and why."""
    life = await house.begin()
    bot = await house.holding(life)
    now = house.world.clock.now()
    crumb = {"current_position_size_coins": Decimal("0.00001")}
    for command in (StopRequested(at=now), StatePut(changes=crumb, at=now), CloseRequested(at=now)):
        await house.obey(life, bot, command)
    state = await house.until(bot, lambda state: state.close_requested_at is None, passing=True)
    assert (state.in_position, state.orders_made) == (True, 1)
    [last] = await rows(house.database, _LAST_EVENT, bot=bot.config.id)
    assert (last.kind, last.cause) == ("bot.stopped", "owner")
    assert "below what the venue lets sell" in last.message


def test_a_buy_is_good_for_its_own_candle_only():
    hearing = Hearing()
    hearing.hear(Signal.BUY)
    assert hearing.unheeded is Signal.BUY
    hearing.hear(Signal.HOLD)
    assert not hearing.waits


def test_a_sell_waits_until_the_strategy_thinks_better_of_it():
    hearing = Hearing()
    hearing.hear(Signal.SELL)
    hearing.hear(Signal.HOLD)
    assert hearing.unheeded is Signal.SELL
    hearing.hear(Signal.BUY)
    assert hearing.unheeded is Signal.BUY
    hearing.heeded()
    assert not hearing.waits


_LAST_EVENT = "SELECT kind, cause, message FROM bot_events WHERE bot_id = :bot ORDER BY version DESC LIMIT 1"
