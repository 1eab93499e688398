"""What others wrote is taken up although no word of it came: the bot meets it amid a decision of its own."""

from datetime import timedelta

import pytest

from botwarden.persistence.resets import ResetDone, reset_day
from botwarden.trading.bot import Status
from botwarden.trading.decisions import Signal, StartRequested, StopRequested
from tests.actors.house import is_settled

pytestmark = pytest.mark.anyio

#: By now every sweep sees the row as it is.
SWEPT_S = 1.5


async def test_a_reset_that_a_decision_met_is_adopted(house):
    """The candle that closes at midnight meets the reset before any word of it: the bot runs on."""
    life = await house.begin()
    bot = await house.running(life)
    await house.pass_time(SWEPT_S)
    tomorrow = house.world.clock.now().date() + timedelta(days=1)
    async with house.database.begin() as tx:
        assert isinstance(await reset_day(tx, tomorrow), ResetDone)
    life.signal(bot, Signal.BUY)
    state = await house.until(bot, is_settled(1), passing=True)
    assert (state.status, state.in_position, state.trading_day) == (Status.RUNNING, True, tomorrow)


async def test_a_start_that_a_decision_met_is_obeyed(house):
    """A bot that was stopped and started again while it decided is adopted like any that is started."""
    life = await house.begin()
    bot = await house.running(life)
    await house.pass_time(SWEPT_S)
    for command in (StopRequested, StartRequested):
        await house.write(bot, command(at=house.world.clock.now()))
    life.signal(bot, Signal.BUY)
    state = await house.until(bot, is_settled(1), passing=True)
    assert (state.status, state.in_position) == (Status.RUNNING, True)
