"""Group commits, take-overs, owners and the reset at the same time: no deadlock, no lost or stale write."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from msgspec.structs import replace
from sqlalchemy import text

from botwarden.errors import Locked
from botwarden.persistence import bots, commits, slots
from botwarden.persistence.commits import Committed, CommitUnavailable, Conflict, commit
from botwarden.persistence.database import Database
from botwarden.persistence.progress import write_progress
from botwarden.persistence.resets import ResetDone, reset_day
from botwarden.persistence.tables import SLOT_COUNT
from chaos.storm import Storm
from tests.persistence.examples import (
    TAG,
    add_bots,
    add_replica,
    change,
    decision,
    rows,
    scalar,
    venue_now,
    waiting_backend,
)

pytestmark = pytest.mark.anyio

BOTS = 60


async def deadlocks(database) -> int:
    return await scalar(database, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")


async def shuffle_heap(database) -> None:
    """Rewrite rows in random order, so that the order of the heap is not the order of ids."""
    async with database.begin() as tx:
        ids = list((await tx.execute(text("SELECT bot_id FROM bot_states"))).scalars())
        random.Random(1).shuffle(ids)  # noqa: S311 - a seed for a test
        for bot_id in ids:
            await tx.execute(text("UPDATE bot_states SET term = term WHERE bot_id = :id"), {"id": bot_id})


class Crowd:
    """Writers that overlap on the same bots, and what became of their writes."""

    def __init__(self, database, made):
        self.database = database
        self.made = made
        self.outcomes = Counter()
        self.written = Counter()

    async def holder(self, seed, rounds):
        """Commits random batches from what it last read."""
        rng = random.Random(seed)  # noqa: S311 - a seed for a test
        for _ in range(rounds):
            chosen = rng.sample(self.made, 30)
            async with self.database.read() as tx:
                loaded = await slots.load_bots(tx, bot_ids=[bot.config.id for bot in chosen])
            known = {state.bot_id: state for _, state in loaded}
            batch = [change(bot, known[bot.config.id]) for bot in chosen]
            outcomes = await commit(self.database, batch, tag=TAG, stamp=venue_now)
            for bot, outcome in zip(chosen, outcomes, strict=True):
                self.outcomes[type(outcome)] += 1
                self.written[bot.config.id] += isinstance(outcome, Committed)

    async def owner(self, seed, rounds):
        """Writes single bots."""
        rng = random.Random(seed)  # noqa: S311 - a seed for a test
        for number in range(rounds):
            bot = rng.choice(self.made)
            try:
                async with self.database.begin() as tx:
                    _, state = await bots.lock_bot(tx, bot.config.user_id, bot.config.id)
                    after = replace(state, last_error_message=f"owner {seed} {number}")
                    await bots.save_bot(tx, state, decision(after))
            except Locked:
                continue
            self.written[bot.config.id] += 1

    async def taker(self, me, rounds):
        """Takes all slots, gives them back."""
        for _ in range(rounds):
            async with self.database.begin() as tx:
                await slots.take_slots(tx, me, range(SLOT_COUNT))
            async with self.database.begin() as tx:
                await slots.release_slots(tx, me, range(SLOT_COUNT))


@pytest.fixture
async def three(database):
    """Three bots, the rows of which lie in the heap in the reverse order of their ids."""
    made = await add_bots(database, 3)
    async with database.begin() as tx:
        for bot in reversed(made):
            await tx.execute(
                text("UPDATE bot_states SET term = term WHERE bot_id = :id"), {"id": bot.config.id}
            )
            await tx.execute(
                text("UPDATE bot_progress SET last_run_at = now() WHERE bot_id = :id"), {"id": bot.config.id}
            )
        heap = (await tx.execute(text("SELECT bot_id FROM bot_states"))).scalars()
        assert list(heap) == [bot.config.id for bot in reversed(made)]
    return made


async def commit_them(database, made):
    await commit(database, [change(bot) for bot in reversed(made)], tag=TAG, stamp=venue_now)


async def take_them(database, _made):
    async with database.begin() as tx:
        await slots.take_slots(tx, await slots.register_replica(tx, "one"), range(SLOT_COUNT))


async def reset_them(database, _made):
    async with database.begin() as tx:
        await reset_day(tx, (await tx.execute(text("SELECT current_date"))).scalar_one())


async def write_their_progress(database, made):
    await write_progress(database, {bot.config.id: datetime.now(UTC) for bot in reversed(made)})


@pytest.mark.parametrize(
    ("write", "table"),
    [
        (commit_them, "bot_states"),
        (take_them, "bot_states"),
        (reset_them, "bot_states"),
        (write_their_progress, "bot_progress"),
    ],
)
async def test_whoever_writes_many_bots_locks_them_in_id_order(database, three, write, table, monkeypatch):
    """With the second of three rows taken, the first is held and the third is still free."""
    # A batch shall wait long enough to be looked at.
    monkeypatch.setattr(commits, "_OPEN", text("SELECT 1"))
    first, second, third = (bot.config.id for bot in three)
    if write is reset_them:
        async with database.begin() as tx:
            await tx.execute(text("UPDATE bot_states SET trading_day = trading_day - 1 WHERE true"))
    async with anyio.create_task_group() as tasks, database.read() as other, database.begin() as tx:
        lock = f"SELECT bot_id FROM {table} WHERE bot_id = :id FOR UPDATE"  # noqa: S608 - a test's own names
        await tx.execute(text(lock), {"id": second})
        tasks.start_soon(write, database, three)
        await waiting_backend(other)
        free = await other.execute(text(f"SELECT bot_id FROM {table} FOR UPDATE SKIP LOCKED"))  # noqa: S608 - a test's own names
        assert set(free.scalars()) == {third}, f"{first} is held, {second} is waited for"


async def test_ten_group_commits_and_take_overs_and_a_reset_never_deadlock(database):
    """Whoever writes many bots locks them in id order: every write is counted once, nobody is killed."""
    made = await add_bots(database, BOTS)
    await shuffle_heap(database)
    day = await scalar(database, "SELECT (now() AT TIME ZONE 'utc')::date")
    async with database.begin() as tx:
        await tx.execute(text("UPDATE bot_states SET trading_day = :day"), {"day": day - timedelta(days=1)})
    me = await add_replica(database)
    crowd = Crowd(database, made)
    turned = []

    async def turn():
        async with database.begin() as tx:
            turned.append(await reset_day(tx, day))

    async with anyio.create_task_group() as tasks:
        for seed in range(10):
            tasks.start_soon(crowd.holder, seed, 6)
        tasks.start_soon(crowd.owner, 98, 25)
        tasks.start_soon(crowd.taker, me, 8)
        tasks.start_soon(turn)

    assert await deadlocks(database) == 0
    assert isinstance(turned[0], ResetDone)
    assert len(turned[0].bot_ids) == BOTS
    assert crowd.outcomes[Committed] > 0
    assert crowd.outcomes[Conflict] > 0
    assert crowd.outcomes.keys() <= {Committed, Conflict, CommitUnavailable}
    for row in await rows(database, "SELECT bot_id, version, term FROM bot_states"):
        assert row.version == 1 + crowd.written[row.bot_id] + 1, (
            "one version for each write, one for the turn"
        )
        assert row.term == 8


async def test_no_write_of_an_old_term_gets_through_a_take_over(database):
    """Holders that go on with what they knew write nothing from the moment the slots are taken."""
    made = await add_bots(database, 20)
    one, two = await add_replica(database, "one"), await add_replica(database, "two")
    async with database.begin() as tx:
        await slots.take_slots(tx, one, range(SLOT_COUNT))
    async with database.read() as tx:
        known = {state.bot_id: state for _, state in await slots.load_bots(tx, slots=range(SLOT_COUNT))}
    late = []
    taken = anyio.Event()

    async def sleeper():
        while True:
            was_taken = taken.is_set()
            batch = [change(bot, known[bot.config.id]) for bot in made]
            for outcome in await commit(database, batch, tag=TAG, stamp=venue_now):
                if isinstance(outcome, Committed):
                    known[outcome.state.bot_id] = outcome.state
                    assert not was_taken
                elif was_taken:
                    late.append(outcome)
            if was_taken:
                return

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleeper)
        async with database.begin() as tx:
            assert len(await slots.take_slots(tx, two, range(SLOT_COUNT))) == SLOT_COUNT
        taken.set()
    assert late == [Conflict()] * 20
    terms = {row.term for row in await rows(database, "SELECT term FROM bot_states")}
    assert terms == {2}


async def test_a_storm_of_everybody_who_writes_loses_nothing(database_url):
    """Twelve days turn, one after the other, while everybody trades, puts, stops, deletes and takes over.

    No transaction ends in a deadlock; every accepted write stands in the row's version and in the trail;
    each bot is reset once for each day, and its counters are what trades and adjustments say.
    """
    # A busy machine may stall amid a transaction: that the server ends it then is another test's affair.
    door = Database.connect(database_url, pool_size=20, idle_in_transaction_ms=60_000)
    made = await add_bots(door, BOTS)
    storm = Storm(door, made[0].config.user_id, [bot.config.id for bot in made], seed=1)
    await storm.rage(days=12)
    assert storm.faults == []
    everybody = ("group commit", "bookings tried", "PUT", "stop all", "start", "delete", "brake", "take-over")
    for done in everybody:
        assert storm.done[done] > 0, storm.done
    await door.close()
