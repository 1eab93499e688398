"""The day turns once for every bot, as `trading.days` says it, and for nobody who has turned already."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import anyio
import msgspec
import pytest
from msgspec.structs import replace
from sqlalchemy import text

from botwarden.errors import Locked
from botwarden.persistence import bots, halts
from botwarden.persistence.commits import Committed, Conflict
from botwarden.persistence.database import Database
from botwarden.persistence.resets import AlreadyDone, ResetDone, TooEarly, reset_day
from botwarden.persistence.transitions import changes
from botwarden.trading.bot import ZERO, HaltedBy
from botwarden.trading.decisions import DayTurned
from botwarden.trading.machine import decide
from tests.persistence.examples import (
    add_api_key,
    add_bot,
    add_bots,
    add_user,
    bought,
    buying,
    change,
    commit_all,
    committed,
    new_bot,
    read_state,
    rows,
    scalar,
    set_state,
    settling,
    waiting_backend,
)

pytestmark = pytest.mark.anyio


async def today(database) -> date:
    return await scalar(database, "SELECT (now() AT TIME ZONE 'utc')::date")


async def turn(database, day, *, reactivate_all=False):
    async with database.begin() as tx:
        return await reset_day(tx, day, reactivate_all=reactivate_all)


async def states_of(database, outcome) -> dict[int, Any]:
    """Return the states of the bots that a turn has reset, by id."""
    assert isinstance(outcome, ResetDone)
    async with database.read() as tx:
        return {state.bot_id: state for state in await bots.read_states(tx, outcome.bot_ids)}


async def add_bots_of_every_kind(database: Database, yesterday: date) -> list[Any]:
    """Bots in every combination of wish, halt, config and status, living in yesterday."""
    owner = await add_user(database)
    key = await add_api_key(database, owner)
    made = []
    kinds = product((True, False), (None, "owner", "system"), (True, False), ("running", "error (crashed)"))
    for is_active, halted_by, reactivate_daily, status in kinds:
        async with database.begin() as tx:
            bot = await bots.create_bot(tx, owner, new_bot(key, reactivate_daily=reactivate_daily))
        state = await set_state(
            database,
            bot,
            is_active=is_active,
            halted_by=halted_by,
            status=status,
            trading_day=yesterday,
            daily_pnl=Decimal("-1.25"),
            daily_trades_count=3,
            last_error_message='it "broke" \\\nhere: ü' if status != "running" else None,
        )
        made.append((bot.config, state))
    return made


@pytest.mark.parametrize("brake", [None, "own", "everyone"])
@pytest.mark.parametrize("reactivate_all", [False, True])
async def test_the_statement_does_what_the_machine_says(database, reactivate_all, brake):
    """The reset in SQL equals `decide(DayTurned)`, events included; a brake overrules the setting."""
    day = await today(database)
    made = await add_bots_of_every_kind(database, day - timedelta(days=1))
    if brake is not None:
        owner = made[0][0].user_id
        async with database.begin() as tx:
            await halts.set_halt(tx, owner if brake == "own" else halts.EVERYONE, set_by=owner)
    outcome = await turn(database, day, reactivate_all=reactivate_all)
    turned = await states_of(database, outcome)
    assert outcome.bot_ids == [config.id for config, _ in made]
    messages = {
        row.bot_id: row for row in await rows(database, "SELECT * FROM bot_events WHERE cause = 'reset'")
    }
    assert len(turned) == len(messages) == len(made)
    for config, before in made:
        event = DayTurned(
            day=day,
            daily_pnl=ZERO,
            daily_trades_count=0,
            reactivate_all=reactivate_all and brake is None,
            at=datetime.combine(day, time(), UTC),
        )
        expected = decide(config, before, event, instrument=None)
        after = turned[config.id]
        assert after == replace(
            expected.state, version=before.version + 1, last_updated_at=after.last_updated_at
        )
        trace = messages[config.id]
        assert (trace.kind, trace.message, trace.at) == (
            expected.kind,
            expected.message,
            after.last_updated_at,
        )
        assert trace.changes == msgspec.to_builtins(changes(before, after))
    assert await scalar(database, "SELECT bots_reset FROM daily_resets WHERE day = :day", day=day) == len(
        made
    )


async def test_what_its_owner_stopped_stays_stopped(database):
    """Peer defect 17: the turn of the day switches nobody on whom the owner has switched off."""
    day = await today(database)
    stopped, halted = await add_bots(database, 2)
    await set_state(database, stopped, trading_day=day - timedelta(days=1))
    paused = "paused (max_daily_loss reached)"
    await set_state(
        database,
        halted,
        trading_day=day - timedelta(days=1),
        is_active=True,
        halted_by="system",
        status=paused,
    )
    await turn(database, day)
    state = await read_state(database, stopped)
    assert (state.is_active, state.halted_by) == (False, HaltedBy.OWNER)
    state = await read_state(database, halted)
    assert (state.is_active, state.halted_by, state.status) == (True, None, "stopped")


async def test_counters_of_the_new_day_are_what_its_trades_say(database):
    """Peer defect 18: yesterday's trades count for nothing today; today's booked before the turn count."""
    day = await today(database)
    bot = await add_bot(database)
    state = await set_state(database, bot, trading_day=day - timedelta(days=1), daily_trades_count=3)
    moments = (
        datetime.combine(day, time(0, 0, 1), UTC),
        datetime.combine(day - timedelta(days=1), time(23), UTC),
    )
    for trade_id, (at, pnl) in enumerate(zip(moments, (Decimal("7.5"), Decimal(100)), strict=True), 1):
        opened = await committed(database, buying(bot, state))
        booked = settling(bot, opened.state, opened.order, bought(at=at, trade_id=trade_id), daily_pnl=pnl)
        state = (await committed(database, booked)).state
    assert isinstance(await turn(database, day), ResetDone)
    state = await read_state(database, bot)
    assert (state.daily_trades_count, state.daily_pnl) == (1, Decimal("7.5"))


async def test_adjustments_of_the_new_day_count(database):
    """What an owner wrote for the new day is part of its counters."""
    day = await today(database)
    bot = await add_bot(database)
    await set_state(database, bot, trading_day=day - timedelta(days=1))
    async with database.begin() as tx:
        for field, before, after in (("daily_pnl", 1, -2), ("daily_trades_count", 0, 2)):
            await tx.execute(
                text(
                    "INSERT INTO adjustments (bot_id, field, before, after, trading_day, version)"
                    " VALUES (:bot, :field, :before, :after, :day, 2)"
                ),
                {"bot": bot.config.id, "field": field, "before": before, "after": after, "day": day},
            )
    await turn(database, day)
    state = await read_state(database, bot)
    assert (state.daily_pnl, state.daily_trades_count) == (Decimal(-3), 2)


async def test_a_day_is_turned_once(database):
    """Whoever comes second changes nothing, and a bot of today is left alone in any case."""
    day = await today(database)
    bot = await add_bot(database)
    assert await turn(database, day) == ResetDone(bot_ids=[])
    assert await turn(database, day) == AlreadyDone()
    assert await read_state(database, bot) == bot.state


async def test_many_replicas_turn_the_day_once(database):
    """Of ten that try at the same time one turns the day."""
    day = await today(database)
    bot = await add_bot(database)
    await set_state(database, bot, trading_day=day - timedelta(days=1))
    outcomes = []

    async def replica():
        outcomes.append(await turn(database, day))

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(replica)
    done = [outcome for outcome in outcomes if isinstance(outcome, ResetDone)]
    assert done == [ResetDone(bot_ids=[bot.config.id])]
    assert outcomes.count(AlreadyDone()) == 9
    assert (await read_state(database, bot)).version == 3


async def test_the_databases_clock_must_agree(database):
    """A day that has not begun by the database's clock is not turned."""
    day = await today(database)
    bot = await add_bot(database)
    assert await turn(database, day + timedelta(days=1)) == TooEarly(today=day)
    assert await read_state(database, bot) == bot.state
    assert await scalar(database, "SELECT count(*) FROM daily_resets") == 0


async def test_a_missed_day_is_made_up_for(database):
    """A bot that slept through several midnights gets to the present day in one turn."""
    day = await today(database)
    bot = await add_bot(database)
    await set_state(database, bot, trading_day=day - timedelta(days=3), daily_trades_count=9)
    outcome = await turn(database, day)
    assert outcome == ResetDone(bot_ids=[bot.config.id])
    state = await read_state(database, bot)
    assert (state.trading_day, state.daily_trades_count) == (day, 0)


async def test_while_the_day_turns_no_bot_is_committed(database):
    """Commits wait for the turn, also those of bots that it leaves alone; a bot that it turned conflicts."""
    day = await today(database)
    old, young = await add_bots(database, 2)
    before = await set_state(database, old, trading_day=day - timedelta(days=1))
    outcomes = []

    async def batch():
        outcomes.extend(await commit_all(database, change(young), change(old, before)))

    async with anyio.create_task_group() as tasks, database.begin() as tx:
        await reset_day(tx, day)
        tasks.start_soon(batch)
        async with database.read() as other:
            await waiting_backend(other)
            assert await advisory_waits(other) == 1
    assert isinstance(outcomes[0], Committed)
    assert outcomes[1] == Conflict()
    assert (await read_state(database, old)).version == before.version + 1


async def advisory_waits(tx) -> int:
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return (await tx.execute(text(query))).scalar_one()


async def test_the_turn_waits_for_whoever_writes_and_gives_up_in_time(database_url):
    """An owner's transaction and a bot's creation hold the turn up; the day is then still to be turned."""
    hasty = Database.connect(database_url, lock_timeout_ms=50)
    day = await today(hasty)
    bot = await add_bot(hasty)

    async def lock(tx):
        await bots.lock_bot(tx, bot.config.user_id, bot.config.id)

    async def create(tx):
        await bots.create_bot(tx, bot.config.user_id, new_bot(bot.config.api_key_id))

    for write in (lock, create):
        async with hasty.begin() as owner:
            await write(owner)
            with pytest.raises(Locked):
                await turn(hasty, day)
    assert isinstance(await turn(hasty, day), ResetDone)
    await hasty.close()
