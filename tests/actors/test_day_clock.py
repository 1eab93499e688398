"""Midnight: each bot is reset exactly once a day, whoever runs, slept, trades or has stopped."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from sqlalchemy import text

from botwarden.actors.announcer import Announce, WakeHolders
from botwarden.actors.day_clock import LOOK_EVERY_S, DayClockActor
from botwarden.actors.upkeep import RETRY_AFTER_S, UpkeepActor
from botwarden.persistence.database import Database
from botwarden.persistence.events import _LOCK_KEY as PARTITIONS_LOCK
from botwarden.runtime import ChildSpec
from botwarden.runtime.testing import FakeClock, run_actor
from botwarden.trading.bot import BotState, HaltedBy, Status
from botwarden.trading.days import next_turn
from botwarden.trading.decisions import Signal, StopRequested
from tests.actors.doors import Step
from tests.actors.house import CRASHED_PRICE, PATIENCE_S, House, is_settled
from tests.actors.life import Life
from tests.persistence.examples import add_bots, rows, scalar

pytestmark = pytest.mark.anyio

#: How long before midnight the tests begin.
EVENING_S = 10.0

PARTITION_OF = "SELECT count(*) FROM pg_class WHERE relname = 'bot_events_{:%Y%m%d}'"
OLD_ANSWER = """
    INSERT INTO idempotency_keys (user_id, key, request_hash, created_at)
    VALUES (:user, 'old', 'hash', now() - interval '2 days')
"""


@pytest.fixture
def evening(house) -> House:
    """A house whose clock shows a moment before midnight."""
    clock = house.world.clock
    clock.jump(next_turn(clock.now()) - clock.now() - timedelta(seconds=EVENING_S))
    return house


async def wind_up(life: Life, number: int = 1, **rules: Any) -> None:
    """Let the life have a day clock, as the warden would."""
    surroundings = replace(life.surroundings, rules=replace(life.surroundings.rules, **rules))
    announcer = life.colleagues.announcer
    spec = ChildSpec(name=f"day-clock {number}", start=lambda: DayClockActor(surroundings, announcer))
    await life.stage.system.spawn(spec)


async def until_scalar(house: House, value: Any, query: str, *, step_s: float = 0.0) -> None:
    """Return when the query has this result; between two looks so much time passes."""
    with anyio.fail_after(PATIENCE_S):
        while await scalar(house.database, query) != value:
            await house.world.clock.advance(step_s)


async def sleep_past_midnight(house: House) -> None:
    """Let the time pass to a moment after midnight."""
    clock = house.world.clock
    await house.pass_time((next_turn(clock.now()) - clock.now()).total_seconds() + 0.2)


def is_of(day) -> Any:
    return lambda state: state.trading_day == day


def runs_on(day) -> Any:
    """Whether the bot has been reset to the day and runs again."""
    return lambda state: state.trading_day == day and state.status == Status.RUNNING


async def resets(house: House, bot) -> list[Any]:
    """Return what the trail tells of the bot's resets, oldest first."""
    query = "SELECT changes FROM bot_events WHERE bot_id = :bot AND cause = 'reset' ORDER BY version"
    return [row.changes for row in await rows(house.database, query, bot=bot.config.id)]


async def days_turned(house: House) -> list[Any]:
    """Return the days that were turned, with how many bots were reset, but for the days without bots."""
    query = "SELECT day, bots_reset FROM daily_resets WHERE bots_reset > 0 ORDER BY day"
    return [tuple(row) for row in await rows(house.database, query)]


def position(state: BotState) -> tuple[Any, ...]:
    """Return what no reset may touch."""
    return (
        state.in_position,
        state.entry_price,
        state.current_position_size_coins,
        state.stop_loss_price,
        state.take_profit_price,
        state.trailing_stop_price,
        state.orders_made,
    )


async def test_midnight_resets_each_bot_once(evening):
    """Counters begin anew and bots run on, with position and stops as they were, and the stops work."""
    life = await evening.begin()
    await wind_up(life)
    holding, flat = await evening.holding(life), await evening.running(life)
    before = await evening.state(holding)
    assert before.daily_trades_count == 1
    await sleep_past_midnight(evening)
    today = evening.world.clock.now().date()
    state = await evening.until(holding, runs_on(today), passing=True)
    assert (state.daily_trades_count, state.daily_pnl) == (0, 0)
    assert position(state) == position(before)
    await evening.until(flat, runs_on(today), passing=True)
    assert await days_turned(evening) == [(today, 2)]
    assert [len(await resets(evening, bot)) for bot in (holding, flat)] == [1, 1]
    evening.world.say(CRASHED_PRICE)
    state = await evening.until(holding, is_settled(2), passing=True)
    assert (state.in_position, state.daily_trades_count) == (False, 1)
    await evening.check_books(life)


async def test_what_its_owner_stopped_stays_stopped(evening):
    """A stopped bot is reset and not started; its position goes on unwatched."""
    life = await evening.begin()
    await wind_up(life)
    bot = await evening.holding(life)
    before = await evening.obey(life, bot, StopRequested(at=evening.world.clock.now()))
    await sleep_past_midnight(evening)
    state = await evening.until(bot, is_of(evening.world.clock.now().date()), passing=True)
    assert (state.status, state.is_active, state.halted_by) == (Status.STOPPED, False, HaltedBy.OWNER)
    assert position(state) == position(before)
    evening.world.say(CRASHED_PRICE)
    await evening.pass_time(2)
    assert (await evening.state(bot)).orders_made == 1


async def test_the_setting_starts_what_owners_stopped(evening):
    """Where every bot is to be reactivated, a stopped one runs after midnight, unless it may not."""
    life = await evening.begin()
    await wind_up(life, reset_reactivates_all=True)
    willing, unwilling = await evening.running(life), await evening.running(life, reactivate_daily=False)
    for bot in (willing, unwilling):
        await evening.obey(life, bot, StopRequested(at=evening.world.clock.now()))
    await sleep_past_midnight(evening)
    today = evening.world.clock.now().date()
    assert (await evening.until(willing, runs_on(today), passing=True)).is_active
    state = await evening.until(unwilling, is_of(today))
    assert (state.status, state.is_active, state.halted_by) == (Status.STOPPED, False, HaltedBy.OWNER)


async def test_what_the_system_halted_runs_again(evening):
    """A bot that had its trades of the day trades again after midnight."""
    life = await evening.begin()
    await wind_up(life)
    bot = await evening.running(life, max_daily_trades=1)
    life.signal(bot, Signal.BUY)
    before = await evening.until(bot, lambda state: state.status == Status.PAUSED_MAX_TRADES, passing=True)
    assert before.halted_by is HaltedBy.SYSTEM
    await sleep_past_midnight(evening)
    state = await evening.until(bot, runs_on(evening.world.clock.now().date()), passing=True)
    assert (state.halted_by, state.daily_trades_count) == (None, 0)
    life.signal(bot, Signal.SELL)
    assert (await evening.until(bot, is_settled(2))).daily_trades_count == 1
    await evening.check_books(life)


async def test_two_replicas_turn_the_day_once(evening):
    """Of several clocks that strike at the same moment one resets, and each bot once."""
    life = await evening.begin()
    for number in range(1, 4):
        await wind_up(life, number)
    bots = [await evening.running(life) for _ in range(3)]
    await sleep_past_midnight(evening)
    today = evening.world.clock.now().date()
    for bot in bots:
        await evening.until(bot, runs_on(today), passing=True)
    await evening.pass_time(2)
    assert await days_turned(evening) == [(today, 3)]
    assert [len(await resets(evening, bot)) for bot in bots] == [1, 1, 1]


async def test_a_midnight_that_was_slept_through_is_made_up_for(evening):
    """Whoever starts two days later resets at once, exactly once, and again never that day."""
    life = await evening.begin()
    await wind_up(life)
    holding = await evening.holding(life)
    stopped = await evening.running(life)
    await evening.obey(life, stopped, StopRequested(at=evening.world.clock.now()))
    before = await evening.state(holding)
    await life.crash()
    evening.world.clock.jump(timedelta(days=2))
    today = evening.world.clock.now().date()
    for _ in range(2):
        following = await evening.begin()
        await wind_up(following)
        state = await evening.until(holding, runs_on(today), passing=True)
        assert position(state) == position(before)
        assert (state.daily_trades_count, state.daily_pnl) == (0, 0)
        assert not (await evening.state(stopped)).is_active
        await evening.pass_time(1)
        await following.crash()
    assert await days_turned(evening) == [(today, 2)]
    assert [len(await resets(evening, bot)) for bot in (holding, stopped)] == [1, 1]


async def test_who_was_paused_through_midnight_changes_nothing(evening):
    """Who wakes with a commit and a reset in hand finds its bots taken and the day turned: both are void."""
    sleeper = await evening.begin()
    holding, flat = await evening.holding(sleeper), await evening.running(sleeper)
    commit = sleeper.doors.hold(Step.DECIDED)
    sleeper.signal(flat, Signal.BUY)
    await commit.meet()
    await evening.lose(sleeper)
    following = await evening.begin()
    await wind_up(following)
    await sleep_past_midnight(evening)
    today = evening.world.clock.now().date()
    for bot in (holding, flat):
        await evening.until(bot, runs_on(today), passing=True)
    before = [await evening.state(bot) for bot in (holding, flat)]
    await wind_up(sleeper)
    commit.release()
    await evening.once(lambda: sleeper.doors.batches[-1:] == [0])
    await evening.pass_time(1)
    assert [await evening.state(bot) for bot in (holding, flat)] == before
    assert await days_turned(evening) == [(today, 2)]
    assert len(await evening.venue_orders(following)) == 1
    await evening.check_books(following)
    assert not sleeper.crashes + following.crashes


async def test_a_clock_that_steps_over_midnight_and_back_resets_once(evening):
    """Over midnight, an hour back and on again: one reset, and each trade counts for its own day."""
    life = await evening.begin()
    await wind_up(life)
    bot = await evening.holding(life)
    clock = evening.world.clock
    clock.jump(2 * EVENING_S)
    today = clock.now().date()
    assert (await evening.until(bot, runs_on(today), passing=True)).daily_trades_count == 0
    clock.jump(-3600)
    await evening.pass_time(LOOK_EVERY_S + 1)
    life.signal(bot, Signal.SELL)
    state = await evening.until(bot, lambda state: not state.in_position, passing=True)
    assert (state.trading_day, state.daily_trades_count, state.daily_pnl) == (today, 0, 0)
    clock.jump(3600)
    await evening.pass_time(LOOK_EVERY_S + 1)
    life.signal(bot, Signal.BUY)
    state = await evening.until(bot, lambda state: state.in_position, passing=True)
    assert (state.trading_day, state.daily_trades_count) == (today, 1)
    booked = await rows(evening.database, "SELECT trading_day FROM trades ORDER BY id")
    assert [(today - row.trading_day).days for row in booked] == [1, 1, 0]
    assert await days_turned(evening) == [(today, 1)]
    assert len(await resets(evening, bot)) == 1
    await evening.check_books(life)
    assert not life.crashes


async def test_a_fill_before_midnight_counts_for_its_own_day(evening):
    """What was executed before midnight and booked after it is no trade of the new day."""
    life = await evening.begin()
    await wind_up(life)
    bot = await evening.running(life)
    stop = life.doors.hold(Step.ANSWERED)
    life.signal(bot, Signal.BUY)
    await stop.meet()
    await sleep_past_midnight(evening)
    today = evening.world.clock.now().date()
    await evening.until(bot, is_of(today), passing=True)
    stop.release()
    state = await evening.until(bot, is_settled(1), passing=True)
    assert (state.in_position, state.daily_trades_count, state.daily_pnl) == (True, 0, 0)
    trade_day = await scalar(evening.database, "SELECT trading_day FROM trades")
    assert trade_day == today - timedelta(days=1)
    assert len(await resets(evening, bot)) == 1
    await evening.check_books(life)


async def test_a_fill_between_midnight_and_the_reset_counts_once(evening):
    """What was executed in the new day before the reset came is counted by the reset, and kept."""
    life = await evening.begin()
    bot = await evening.running(life)
    await sleep_past_midnight(evening)
    today = evening.world.clock.now().date()
    life.signal(bot, Signal.BUY)
    state = await evening.until(bot, is_settled(1), passing=True)
    assert (state.trading_day, state.daily_trades_count) == (today - timedelta(days=1), 0)
    await wind_up(life)
    state = await evening.until(bot, runs_on(today), passing=True)
    assert state.daily_trades_count == 1
    life.signal(bot, Signal.SELL)
    assert (await evening.until(bot, is_settled(2))).daily_trades_count == 2
    await evening.check_books(life)


async def test_a_clock_that_is_days_ahead_turns_the_days_of_the_database(database):
    """A process whose clock shows another year resets its bots all the same, for the day that it is."""
    [bot] = await add_bots(database, 1)
    async with database.begin() as tx:
        await tx.execute(text("UPDATE bot_states SET trading_day = trading_day - 1"))
    clock, word = FakeClock(), []
    clock.jump(timedelta(days=3650))
    around: Any = SimpleNamespace(database=database, rules=SimpleNamespace(reset_reactivates_all=False))
    announcer: Any = SimpleNamespace(tell=word.append)
    async with run_actor(lambda: DayClockActor(around, announcer), clock=clock):
        with anyio.fail_after(PATIENCE_S):
            while len(word) < 2:
                await clock.advance(0.1)
    assert word[0] == WakeHolders(bot_ids=[bot.config.id])
    assert word[1].states[0].trading_day == bot.state.trading_day


@asynccontextmanager
async def no_partitions(database: Database) -> AsyncIterator[None]:
    """Let nobody make partitions of the trail meanwhile."""
    async with database.begin() as tx:
        await tx.execute(text(f"SELECT pg_advisory_xact_lock({PARTITIONS_LOCK})"))
        yield


async def test_nothing_delays_the_word_of_a_reset(evening, database_url):
    """The word of a reset goes out although the trail's partitions cannot be made at that time."""
    life = await evening.begin()
    bot = await evening.add_bot()
    evening.world.clock.jump(timedelta(days=1))
    hasty = Database.connect(database_url, lock_timeout_ms=50)
    surroundings = replace(life.surroundings, database=hasty)
    probe = await life.stage.probe()
    async with no_partitions(evening.database):
        for actor in (UpkeepActor(surroundings), DayClockActor(surroundings, probe.ref)):
            await life.stage.system.spawn(ChildSpec(name=type(actor).__name__, start=lambda it=actor: it))
        with anyio.fail_after(PATIENCE_S):
            wake, announced = await probe.next(), await probe.next()
    assert announced == Announce(states=[await evening.state(bot)])
    assert wake == WakeHolders(bot_ids=[bot.config.id])
    await life.crash()  # It holds connections of its own to the last.
    await hasty.close()


async def test_a_chore_that_fails_comes_again(house, database_url):
    """Upkeep that cannot be done is no crash and holds no other chore up; a minute later it is done."""
    life = await house.begin()
    hasty = Database.connect(database_url, lock_timeout_ms=50)
    async with house.database.begin() as tx:
        await tx.execute(text(OLD_ANSWER), {"user": house.user_id})
    surroundings = replace(life.surroundings, database=hasty)
    # Of tomorrow: it may be midnight by the time the chore comes again.
    made = PARTITION_OF.format(house.world.clock.now() + timedelta(days=1))
    async with no_partitions(house.database):
        await life.stage.system.spawn(ChildSpec(name="upkeep", start=lambda: UpkeepActor(surroundings)))
        await until_scalar(house, 0, "SELECT count(*) FROM idempotency_keys")
        assert await scalar(house.database, made) == 0
    await until_scalar(house, 1, made, step_s=RETRY_AFTER_S)
    assert life.crashes == []
    await life.crash()  # It holds connections of its own to the last.
    await hasty.close()
