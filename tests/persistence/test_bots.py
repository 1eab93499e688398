"""Bots as their owners change them: one lock, one version, one owner."""

import random
from decimal import Decimal

import anyio
import pytest
from msgspec.structs import replace
from sqlalchemy import text

from botwarden.errors import Invalid, Locked, Missing, Refused, Stale
from botwarden.persistence import bots
from botwarden.persistence.bots import LockWait
from botwarden.trading.bot import Cause, HaltedBy, Venue
from botwarden.trading.decisions import Decision
from tests.persistence.examples import (
    add_api_key,
    add_bot,
    add_bots,
    add_user,
    buying,
    change,
    commit_all,
    committed,
    decision,
    new_bot,
    read_state,
    rows,
    scalar,
    set_state,
)

pytestmark = pytest.mark.anyio

IMPATIENT = LockWait(within_s=0.02)


async def test_a_new_bot_is_stopped_and_lives_in_the_databases_day(database):
    """A bot begins stopped by its owner, flat, unclaimed, at version 1."""
    bot = await add_bot(database)
    state = bot.state
    assert (state.status, state.is_active, state.halted_by) == ("stopped", False, HaltedBy.OWNER)
    assert (state.version, state.term, state.in_position) == (1, 0, False)
    assert state.trading_day == await scalar(database, "SELECT (now() AT TIME ZONE 'utc')::date")
    assert bot.config.strategy_params == {"fast": 9}
    async with database.read() as tx:
        assert await bots.read_bot(tx, bot.config.user_id, bot.config.id) == bot
    assert await scalar(database, "SELECT kind FROM bot_events") == "bot.created"


async def test_another_users_api_key_cannot_be_used(database):
    """Peer defect 14: a bot of one user with the key of another is impossible, at the database itself."""
    thief, victim = await add_user(database, "b@example.com"), await add_user(database, "a@example.com")
    key = await add_api_key(database, victim)
    with pytest.raises(Invalid, match="api_key_id"):
        async with database.begin() as tx:
            await bots.create_bot(tx, thief, new_bot(key))
    own = await add_api_key(database, thief)
    async with database.begin() as tx:
        bot = await bots.create_bot(tx, thief, new_bot(own))
    with pytest.raises(Invalid, match="api_key_id"):  # noqa: PT012 - what precedes cannot raise this
        async with database.begin() as tx:
            config, state = await bots.lock_bot(tx, thief, bot.config.id)
            await bots.update_config(tx, config, replace(config, api_key_id=key), state)
    assert await scalar(database, "SELECT count(*) FROM bot_configs") == 1


async def test_a_key_of_another_venue_cannot_be_used(database):
    """A bot for the live venue needs a key of the live venue."""
    owner = await add_user(database)
    key = await add_api_key(database, owner)
    with pytest.raises(Invalid, match="api_key_id"):
        async with database.begin() as tx:
            await bots.create_bot(tx, owner, new_bot(key, venue=Venue.LIVE))


async def test_tenants_do_not_exist_for_each_other(database):
    """What is not yours is missing: to read, to list, to lock."""
    bot = await add_bot(database)
    other = await add_user(database, "other@example.com")
    async with database.begin() as tx:
        with pytest.raises(Missing):
            await bots.read_bot(tx, other, bot.config.id)
        with pytest.raises(Missing):
            await bots.lock_bot(tx, other, bot.config.id)
        assert await bots.list_bots(tx, other) == []


async def test_bots_are_listed_in_pages_through_filters(database):
    """Each filter narrows, and pages follow each other in id order without a gap."""
    made = await add_bots(database, 5)
    owner = made[0].config.user_id
    await set_state(database, made[3], status="running")
    async with database.read() as tx:
        first = await bots.list_bots(tx, owner, limit=2)
        rest = await bots.list_bots(tx, owner, after_id=first[-1].config.id)
        running = await bots.list_bots(tx, owner, status="running")
        assert [bot.config.id for bot in [*first, *rest]] == [bot.config.id for bot in made]
        assert [bot.config.id for bot in running] == [made[3].config.id]
        assert await bots.list_bots(tx, owner, symbol="ETHUSDT") == []
        assert len(await bots.list_bots(tx, owner, symbol="BTCUSDT", strategy="ema")) == 5


async def test_a_saved_state_is_what_is_read_then(database):
    """Saving raises the version, leaves an event, and nothing else of the row changes."""
    bot = await add_bot(database)
    async with database.begin() as tx:
        _, before = await bots.lock_bot(tx, bot.config.user_id, bot.config.id)
        started = Decision(
            state=replace(before, is_active=True, status="pending", halted_by=None),
            cause=Cause.OWNER,
            kind="bot.started",
        )
        saved = await bots.save_bot(tx, before, started)
    assert await read_state(database, bot) == saved
    assert saved.version == 2
    [event] = await rows(database, "SELECT * FROM bot_events WHERE kind = 'bot.started'")
    assert event.changes == {
        "is_active": [False, True],
        "status": ["stopped", "pending"],
        "halted_by": ["owner", None],
    }


async def test_what_changes_nothing_writes_nothing(database):
    """A decision for the same state leaves version and trail alone."""
    bot = await add_bot(database)
    async with database.begin() as tx:
        _, before = await bots.lock_bot(tx, bot.config.user_id, bot.config.id)
        assert await bots.save_bot(tx, before, decision(before)) == before
    assert (await read_state(database, bot)).version == 1
    assert await scalar(database, "SELECT count(*) FROM bot_events") == 1


async def test_a_state_that_was_not_locked_cannot_be_saved(database):
    """Whoever saves what he read before someone else's change is told so."""
    bot = await add_bot(database)
    await committed(database, change(bot))
    with pytest.raises(Stale):
        async with database.begin() as tx:
            await bots.save_bot(tx, bot.state, decision(replace(bot.state, status="pending")))


async def test_a_put_of_what_the_ledger_counts_is_an_adjustment(database):
    """Counters and size written by an owner leave before and after in the books."""
    bot = await add_bot(database)
    async with database.begin() as tx:
        _, before = await bots.lock_bot(tx, bot.config.user_id, bot.config.id)
        after = replace(before, daily_pnl=Decimal("-3.5"), daily_trades_count=2, stop_loss_price=Decimal(9))
        saved = await bots.save_bot(tx, before, decision(after, "state.put"), adjustments=True)
    found = await rows(database, "SELECT field, before, after, trading_day, version FROM adjustments")
    assert sorted((row.field, row.before, row.after) for row in found) == [
        ("daily_pnl", Decimal(0), Decimal("-3.5")),
        ("daily_trades_count", Decimal(0), Decimal(2)),
    ]
    assert {(row.trading_day, row.version) for row in found} == {(saved.trading_day, saved.version)}


async def test_a_locked_bot_is_asked_for_again_and_then_given_up(database):
    """A row that stays locked is `Locked` after the wait, and to be had once it is free."""
    bot = await add_bot(database)
    who = bot.config.user_id, bot.config.id
    async with database.begin() as holder:
        await bots.lock_bot(holder, *who)
        with pytest.raises(Locked):
            async with database.begin() as tx:
                await bots.lock_bot(tx, *who, wait=IMPATIENT)
    async with database.begin() as tx:
        assert (await bots.lock_bot(tx, *who, wait=IMPATIENT))[1] == bot.state


def test_waits_grow_and_add_up_to_their_limit():
    """However jittered, the delays never exceed the whole wait, and end."""
    for seed in range(50):
        delays = list(LockWait(within_s=2.0).delays(random.Random(seed)))  # noqa: S311 - a seed for a test
        assert sum(delays) == pytest.approx(2.0)
        assert max(delays) <= 0.15
        assert len(delays) < 60


async def test_a_commit_waits_out_an_owners_change_and_then_conflicts(database):
    """A request and the running bot never undo each other: the later one finds its version gone."""
    bot = await add_bot(database)
    async with database.begin() as tx:
        _, before = await bots.lock_bot(tx, bot.config.user_id, bot.config.id)
        await bots.save_bot(tx, before, decision(replace(before, status="pending"), "bot.started"))
    [outcome] = await commit_all(database, change(bot))
    assert type(outcome).__name__ == "Conflict"
    assert (await read_state(database, bot)).status == "pending"


async def test_a_changed_config_raises_the_version(database):
    """The holder notices a changed config as it notices everything else: by the version."""
    bot = await add_bot(database)
    async with database.begin() as tx:
        config, state = await bots.lock_bot(tx, bot.config.user_id, bot.config.id)
        wanted = replace(
            config, stop_loss_perc=Decimal("2.5"), strategy_params={"fast": 12}, max_daily_trades=5
        )
        changed, saved = await bots.update_config(tx, config, wanted, state)
    assert changed == replace(wanted, updated_at=changed.updated_at)
    assert changed.updated_at > config.updated_at
    assert saved == replace(state, version=2, last_updated_at=saved.last_updated_at)
    async with database.read() as tx:
        assert (await bots.read_bot(tx, config.user_id, config.id)).config == changed
    [event] = await rows(database, "SELECT * FROM bot_events WHERE kind = 'config.changed'")
    assert event.changes == {
        "stop_loss_perc": ["2", "2.5"],
        "strategy_params": [{"fast": 9}, {"fast": 12}],
        "max_daily_trades": [None, 5],
    }


@pytest.mark.parametrize(
    "columns",
    [
        {"is_active": True},
        {"in_position": True, "current_position_size_coins": Decimal(1), "entry_price": Decimal(9)},
    ],
    ids=["active", "in position"],
)
async def test_only_a_stopped_flat_bot_is_deleted(database, columns):
    """An active bot, and one that holds a position, stay."""
    bot = await add_bot(database)
    await set_state(database, bot, **columns)
    with pytest.raises(Refused):  # noqa: PT012 - what precedes cannot raise this
        async with database.begin() as tx:
            _, state = await bots.lock_bot(tx, bot.config.user_id, bot.config.id)
            await bots.delete_bot(tx, state)
    assert await scalar(database, "SELECT count(*) FROM bot_states") == 1


async def test_the_books_outlive_the_bot(database):
    """A deleted bot is gone with its state; its orders and events stay."""
    bot = await add_bot(database)
    opened = await committed(database, buying(bot))
    with pytest.raises(Refused):
        async with database.begin() as tx:
            await bots.delete_bot(tx, opened.state)
    async with database.begin() as tx:
        await tx.execute(text("UPDATE orders SET status = 'absent', settled_at = now()"))
        _, state = await bots.lock_bot(tx, bot.config.user_id, bot.config.id)
        await bots.delete_bot(tx, replace(state, open_order_number=None))
    assert await scalar(database, "SELECT count(*) FROM bot_states") == 0
    assert await scalar(database, "SELECT count(*) FROM bot_progress") == 0
    assert await scalar(database, "SELECT count(*) FROM orders") == 1
    assert await scalar(database, "SELECT count(*) FROM bot_events") == 2


async def test_a_hundred_increments_by_many_clients_are_a_hundred(database):
    """Peer defect 19: read, then write under the version; exactly the accepted ones count, none is lost."""
    bot = await add_bot(database)
    accepted = 0

    async def client() -> None:
        nonlocal accepted
        for _ in range(10):
            async with database.begin() as tx:
                _, state = await bots.lock_bot(tx, bot.config.user_id, bot.config.id)
                after = replace(state, daily_trades_count=state.daily_trades_count + 1)
                await bots.save_bot(tx, state, decision(after, "state.put"), adjustments=True)
            accepted += 1

    async def optimist() -> None:
        """Reads without a lock: only some of its writes are accepted."""
        nonlocal accepted
        for _ in range(10):
            state = await read_state(database, bot)
            after = replace(state, daily_trades_count=state.daily_trades_count + 1)
            [outcome] = await commit_all(
                database, replace(change(bot, state), decision=decision(after, "bot.counted"))
            )
            accepted += type(outcome).__name__ == "Committed"

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(client)
            tasks.start_soon(optimist)
    state = await read_state(database, bot)
    assert state.daily_trades_count == accepted == state.version - 1
    assert accepted >= 50
