"""What others wrote is taken up although no word of it came: the bot meets it amid a decision of its own."""

from datetime import timedelta

import anyio
import pytest

from botwarden.persistence.broadcast import Broadcast, StateChanged
from botwarden.persistence.resets import ResetDone, reset_day
from botwarden.trading.bot import Status
from botwarden.trading.decisions import Signal, StartRequested, StopRequested
from tests.actors.doors import Step
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


async def test_a_new_holder_tells_what_the_former_took_to_its_grave(house, redis_url):
    """A holder that dies between a commit and its word leaves no watcher with an old state."""
    life = await house.begin()
    bot = await house.running(life)
    heard: list[StateChanged] = []
    broadcast = Broadcast(redis_url)
    async with anyio.create_task_group() as duties:
        duties.start_soon(broadcast.run)
        await broadcast.subscribe_user(house.user_id, heard.extend, lambda _: None)
        stop = life.doors.hold(Step.INTENT_COMMITTED)
        life.signal(bot, Signal.BUY)
        await stop.meet()
        committed = await house.state(bot)
        assert [state.version for state in heard if state.version >= committed.version] == []
        await life.crash()
        following = await house.begin()
        following.doors.hold(Step.DECIDED)
        await house.once(lambda: heard)
        assert heard[0].version == committed.version
        duties.cancel_scope.cancel()
    await broadcast.close()
