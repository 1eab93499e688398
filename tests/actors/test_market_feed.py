"""Prices reach positions whatever becomes of candles and strategies; who listens is told what was said."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from botwarden.actors import signals
from botwarden.actors.feed_mail import FeedLost, SignalGiven, Subject
from botwarden.persistence import bots
from botwarden.trading.bot import HaltedBy, Status
from botwarden.trading.decisions import Signal
from botwarden.trading.strategies.registry import STRATEGIES
from tests.actors.doors import Step
from tests.actors.house import CRASHED_PRICE, is_settled
from tests.actors.life import PRICE

pytestmark = pytest.mark.anyio

EMA = {"strategy": "ema", "strategy_params": {"fast": 2, "slow": 3}}


class Moody:
    """A strategy that says BUY, until it is told to crash."""

    warm_up = 2
    breaks = True

    def source(self, _params):
        return self

    def advance(self, _candle):
        if self.breaks:
            raise ZeroDivisionError("a moody strategy")
        return Signal.BUY


@pytest.fixture
def moody(monkeypatch):
    """A strategy of this test's own."""
    strategy = Moody()
    # The registry has one more entry, as if a release had brought it.
    monkeypatch.setattr(signals, "STRATEGIES", {**STRATEGIES, "moody": strategy})
    return strategy


async def test_a_stop_is_met_while_no_candle_comes(house):
    """A venue that does not answer for candles keeps no price from a position."""
    life = await house.begin()
    fault = house.world.fault(name="klines", on="GET klines", held=True, times=None)
    bot = await house.holding(life, **EMA)
    await fault.reached("caught", 1)
    house.world.say(CRASHED_PRICE)
    state = await house.until(bot, is_settled(2))
    assert not state.in_position
    house.world.venue.faults.clear("klines")


async def test_candles_that_fail_are_no_trouble_with_prices(house):
    """A bot whose candles do not come runs on under its guard, and they are asked for until they come."""
    life = await house.begin()
    fault = house.world.fault(
        name="klines", on="GET klines", answer="html", status=503, executes="no", times=None
    )
    bot = await house.holding(life, **EMA)
    await fault.reached("done", 1)
    await house.pass_time(5)
    assert (await house.state(bot)).status == Status.RUNNING
    house.world.venue.faults.clear("klines")
    feed = "candles:1m"
    handled = life.actor(feed).handled
    await house.once(lambda: life.actor(feed).handled > handled, passing=True)
    house.world.say(CRASHED_PRICE)
    await house.until(bot, is_settled(2))
    await house.check_books(life)


@pytest.mark.usefixtures("moody")
async def test_a_strategy_that_crashes_takes_nobody_along(house):
    """A crashing strategy ends in its own bot's quarantine; other bots of the symbol trade on."""
    life = await house.begin()
    broken = await house.starting(life, strategy="moody")
    other = await house.holding(life)
    state = await house.until(broken, lambda state: state.status == Status.ERROR_CRASHED, passing=True)
    assert state.halted_by is HaltedBy.SYSTEM
    assert {crash.name for crash in life.crashes} == {f"bot:{broken.config.id}"}
    house.world.say(CRASHED_PRICE)
    await house.until(other, is_settled(2), passing=True)
    await house.check_books(life)


async def test_a_position_of_a_crashed_strategy_stays_watched(house, moody):
    """A strategy that begins to crash with a position open costs its bot the strategy, not the stop."""
    moody.breaks = False
    life = await house.begin()
    bot = await house.holding(life, strategy="moody")
    moody.breaks = True
    house.world.close_minute()
    await house.until(bot, lambda state: state.status == Status.ERROR_CRASHED, passing=True)
    house.world.say(CRASHED_PRICE)
    state = await house.until(bot, is_settled(2), passing=True)
    assert not state.in_position


async def test_a_closed_candle_is_heard_by_all_who_share_a_strategy(house, moody):
    """One computation speaks to every bot that asks alike."""
    moody.breaks = False
    life = await house.begin()
    listeners = [await house.running(life, strategy="moody") for _ in range(3)]
    house.world.close_minute()
    for bot in listeners:
        state = await house.until(bot, is_settled(1), passing=True)
        assert state.in_position


async def test_a_strategy_that_was_changed_while_no_candle_came_is_heard(house, moody):
    """Who asked for another strategy meanwhile gets that one when candles come again, and not the former."""
    moody.breaks = False
    life = await house.begin()
    bot = await house.running(life)
    fault = house.world.fault(
        name="klines", on="GET klines", answer="html", status=503, executes="no", times=None
    )
    await house.running(life, **EMA)
    await fault.reached("done", 1)
    async with house.database.begin() as tx:
        config, state = await bots.lock_bot(tx, house.user_id, bot.config.id)
        await bots.update_config(tx, config, replace(config, strategy="moody"), state)
    life.wake(bot.config.id)
    await house.once(lambda: life.watches(bot)[-1].signal.strategy == "moody")
    house.world.venue.faults.clear("klines")
    handled = life.actor("candles:1m").handled
    await house.once(lambda: life.actor("candles:1m").handled > handled, passing=True)
    house.world.close_minute()
    state = await house.until(bot, is_settled(1), passing=True)
    assert state.in_position


async def test_a_stop_is_met_though_the_inbox_was_full(house):
    """A touch that the bot's full inbox turns away comes again; its position never falls asleep."""
    life = await house.begin()
    bot = await house.holding(life)
    ref = life.bot(bot)
    stop = life.doors.hold(Step.DECIDED)
    ref.tell(FeedLost(message="made up"))
    await stop.meet()
    said = SignalGiven(signal=Signal.HOLD, price_quote=Decimal(PRICE), subject=Subject.of(bot.config))
    while ref.tell(said):
        pass
    feed = "feed:paper:BTCUSDT"
    handled = life.actor(feed).handled
    house.world.say(CRASHED_PRICE)
    await house.once(lambda: life.actor(feed).handled > handled)
    stop.release()
    state = await house.until(bot, is_settled(2), passing=True)
    assert not state.in_position


async def test_a_position_stays_watched_when_the_feeds_crash(house):
    """Whoever finds the feeds may meet a bug: those who watched do so again without asking."""
    life = await house.begin()
    bot = await house.holding(life)
    poison: Any = Signal.HOLD
    life.colleagues.feeds.tell(poison)
    await house.once(lambda: life.crashes)
    await house.once(lambda: life.actor("feeds").state == "running", passing=True)
    house.world.say(CRASHED_PRICE)
    state = await house.until(bot, is_settled(2), passing=True)
    assert not state.in_position
