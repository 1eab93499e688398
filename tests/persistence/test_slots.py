"""Who runs what: verdicts of death, slots that change hands, and the terms that fence off who lost them."""

import anyio
import pytest
from msgspec.structs import replace
from sqlalchemy import text

from botwarden.errors import Unavailable
from botwarden.persistence import slots
from botwarden.persistence.commits import Committed, Conflict
from botwarden.persistence.slots import ReplicaLock
from botwarden.persistence.tables import SLOT_COUNT
from chaos.line import line_to_postgres
from tests.persistence.examples import (
    add_bot,
    add_bots,
    add_replica,
    change,
    commit_all,
    read_state,
    rows,
    scalar,
)

pytestmark = pytest.mark.anyio

ALL = range(SLOT_COUNT)


@pytest.fixture
async def replica(database, database_url):
    """Registers replicas with their locks held, and lets go of the locks in the end."""
    locks = []

    async def join(name: str = "one") -> tuple[int, ReplicaLock]:
        replica_id = await add_replica(database, name)
        lock = ReplicaLock(database_url, replica_id)
        await lock.acquire()
        locks.append(lock)
        return replica_id, lock

    yield join
    for lock in locks:
        await lock.close()


async def take(database, me, wanted=ALL):
    async with database.begin() as tx:
        return await slots.take_slots(tx, me, wanted)


async def balance(database, me):
    async with database.begin() as tx:
        return await slots.read_balance(tx, me)


async def test_taking_slots_raises_the_terms_of_their_bots(database, replica):
    """A bot gets its slot's term, without a new version."""
    bot = await add_bot(database)
    me, _ = await replica()
    assert await take(database, me) == frozenset(ALL)
    state = await read_state(database, bot)
    assert state == replace(bot.state, term=1)


async def test_whoever_lost_the_slot_cannot_write(database, replica):
    """After a take-over the former holder's commits find nothing, the new holder's go on."""
    bot = await add_bot(database)
    one, lock = await replica("one")
    await take(database, one)
    held = await read_state(database, bot)
    await lock.close()
    two, _ = await replica("two")
    assert await take(database, two) == frozenset(ALL)
    assert await commit_all(database, change(bot, held)) == [Conflict()]
    now = await read_state(database, bot)
    assert now.term > held.term
    assert isinstance((await commit_all(database, change(bot, now)))[0], Committed)


async def test_a_living_replicas_slots_are_not_taken(database, replica):
    """Slots whose holder beats and holds its lock stay with it, whoever wants them."""
    one, _ = await replica("one")
    two, _ = await replica("two")
    await take(database, one, range(100))
    assert await take(database, two) == frozenset(range(100, SLOT_COUNT))
    seen = await balance(database, two)
    assert seen.live == {one, two}
    assert seen.takeable == frozenset()
    assert seen.held == frozenset(range(100, SLOT_COUNT))


async def test_a_freed_lock_is_death(database, replica):
    """A replica whose session is gone is dead at once, though its beat is fresh."""
    one, lock = await replica("one")
    two, _ = await replica("two")
    await take(database, one)
    await lock.close()
    seen = await balance(database, two)
    assert seen.live == {two}
    assert seen.takeable == frozenset(ALL)


async def test_an_expired_beat_is_death_and_ends_the_session(database, replica):
    """A frozen replica keeps its lock for ever, so its session is ended and its slots are free."""
    one, lock = await replica("one")
    two, _ = await replica("two")
    await take(database, one)
    async with database.begin() as tx:
        await tx.execute(
            text("UPDATE replicas SET beat_at = now() - interval '6 s' WHERE id = :id"), {"id": one}
        )
    assert await lock.probe()
    assert (await balance(database, two)).takeable == frozenset(ALL)
    with anyio.fail_after(10):
        while await lock.probe():
            pass
    assert await take(database, two) == frozenset(ALL)


async def test_the_next_death_is_foreseen(database, replica):
    """Who is silent is known to be dead at one moment: nobody need wait for the next look after it."""
    one, _ = await replica("one")
    two, _ = await replica("two")
    assert 0 < (await balance(database, two)).next_death_s <= slots.TIME_TO_LIVE_S
    async with database.begin() as tx:
        await tx.execute(
            text("UPDATE replicas SET beat_at = beat_at - interval '4 s' WHERE id = :id"), {"id": one}
        )
    assert (await balance(database, two)).next_death_s <= slots.TIME_TO_LIVE_S - 4
    # One's own beat is one's own affair.
    assert (await balance(database, one)).next_death_s > slots.TIME_TO_LIVE_S - 4


async def test_looking_at_a_lock_does_not_hide_it_from_other_lookers(database, replica):
    """Two peers that look at the same time come to the same verdict."""
    one, lock = await replica("one")
    two, _ = await replica("two")
    three, _ = await replica("three")
    await lock.close()
    async with database.begin() as first, database.begin() as second:
        assert await slots.dead_replicas(first, two) == {one}
        assert await slots.dead_replicas(second, three) == {one}


async def test_beats_are_the_databases_time(database, replica):
    """A beat says whether the others still know us."""
    me, _ = await replica()
    before = await scalar(database, "SELECT beat_at FROM replicas")
    async with database.begin() as tx:
        assert await slots.beat(tx, me)
        assert not await slots.beat(tx, me + 1)
    assert await scalar(database, "SELECT beat_at FROM replicas") > before


async def test_who_drains_is_given_nothing(database, replica):
    """A replica on its way out is not counted on and takes no slot."""
    me, _ = await replica()
    async with database.begin() as tx:
        await slots.set_draining(tx, me)
    assert (await balance(database, me)).live == frozenset()
    assert await take(database, me) == frozenset()


async def test_released_slots_are_free(database, replica):
    """Only one's own slots are released, and then anybody may take them."""
    one, _ = await replica("one")
    two, _ = await replica("two")
    await take(database, one, range(10))
    await take(database, two, range(10, 20))
    async with database.begin() as tx:
        await slots.release_slots(tx, one, range(15))
    assert await take(database, two, range(20)) == frozenset(range(10))


async def test_new_bots_are_claimed_by_their_slots_holder(database, replica):
    """A bot made after the slot was taken gets the slot's term once, and nobody else claims it."""
    one, _ = await replica("one")
    two, _ = await replica("two")
    await take(database, one)
    bots = await add_bots(database, 3)
    async with database.begin() as tx:
        assert await slots.claim_new_bots(tx, two) == []
        assert await slots.claim_new_bots(tx, one) == [bot.config.id for bot in bots]
        assert await slots.claim_new_bots(tx, one) == []
    assert {(await read_state(database, bot)).term for bot in bots} == {1}


async def test_a_new_bot_that_is_locked_is_claimed_later(database, replica):
    """Nobody who writes a new bot's row holds up the claims of others."""
    me, _ = await replica()
    await take(database, me)
    locked, free = (bot.config.id for bot in await add_bots(database, 2))
    async with database.begin() as owner:
        await owner.execute(text("SELECT FROM bot_states WHERE bot_id = :id FOR UPDATE"), {"id": locked})
        async with database.begin() as tx:
            assert await slots.claim_new_bots(tx, me) == [free]
    async with database.begin() as tx:
        assert await slots.claim_new_bots(tx, me) == [locked]


async def test_slots_of_others_are_not_loaded(database, replica):
    """A holder's look at slots leaves out those that are another's by now."""
    one, _ = await replica("one")
    two, _ = await replica("two")
    mine, lost = await add_bots(database, 2)
    await take(database, one, [mine.config.id % SLOT_COUNT])
    await take(database, two, [lost.config.id % SLOT_COUNT])
    async with database.read() as tx:
        found = await slots.load_bots(tx, slots=ALL, holder=one)
    assert [config.id for config, _ in found] == [mine.config.id]


async def test_bots_are_loaded_by_slot_and_by_id(database):
    """Config and state come together, in id order; what does not exist is left out."""
    made = await add_bots(database, 3)
    pairs = [(bot.config, bot.state) for bot in made]
    async with database.read() as tx:
        assert await slots.load_bots(tx, slots=[bot.config.id for bot in made]) == pairs
        assert await slots.load_bots(tx, slots=[900]) == []
        ids = [made[2].config.id, made[0].config.id, 4711]
        assert await slots.load_bots(tx, bot_ids=ids) == [pairs[0], pairs[2]]


async def test_a_sweep_finds_what_has_changed(database, replica):
    """The versions of a holder's bots that changed a short while ago, and of no other bots."""
    me, _ = await replica()
    first, second = await add_bots(database, 2)
    await take(database, me, [first.config.id % SLOT_COUNT])
    state = await read_state(database, first)
    await commit_all(database, change(first, state), change(second))
    async with database.begin() as tx:
        assert await slots.changed_since(tx, me, 60) == [(first.config.id, 2)]
        assert await slots.changed_since(tx, me, 0) == []


async def test_the_long_dead_are_forgotten(database):
    """Registering sweeps out replicas that died long ago; their slots are nobody's."""
    old = await add_replica(database, "old")
    await take(database, old)
    async with database.begin() as tx:
        await tx.execute(text("UPDATE replicas SET beat_at = now() - interval '11 minutes'"))
    new = await add_replica(database, "new")
    assert [row.id for row in await rows(database, "SELECT id FROM replicas")] == [new]
    assert await scalar(database, "SELECT count(*) FROM slots WHERE replica_id IS NULL") == SLOT_COUNT


async def test_a_lock_without_a_server_is_unavailable(tmp_path):
    """A replica that cannot reach the database does not join."""
    lock = ReplicaLock(f"postgresql://app@/nowhere?host={tmp_path}", 1)
    with pytest.raises(Unavailable):
        await lock.acquire()
    assert not await lock.probe()


async def test_a_server_that_falls_silent_keeps_nobody_waiting(database, database_url):
    """Who takes its lock over a line on which nothing comes back gives up in time, and may try again."""
    line, through = line_to_postgres(database_url)
    await line.open()
    line.deafen = lambda sent: b"pg_advisory_lock" in sent and bool(line.silence())
    lock = ReplicaLock(through(), await add_replica(database, "one"))
    with anyio.fail_after(30), pytest.raises(Unavailable):
        await lock.acquire(within_s=0.5)
    assert not await lock.probe()
    line.deafen = lambda _sent: False
    line.speak()
    await lock.acquire()
    assert await lock.probe(within_s=10)
    await lock.close()
    await line.cut()


def test_slots_are_shared_evenly_and_completely():
    """Every slot is wanted by exactly one replica, and nobody is far from an even share."""
    for count in (1, 2, 3, 5, 8):
        live = range(10, 10 + count)
        shares = [slots.wanted_slots(live, me) for me in live]
        assert sorted(slot for share in shares for slot in share) == list(ALL)
        even = SLOT_COUNT / count
        assert all(abs(len(share) - even) < 4 * even**0.5 for share in shares)


def test_a_replica_that_comes_or_goes_moves_only_its_own_slots():
    """Those who stay keep every slot they had."""
    before = {me: slots.wanted_slots([1, 2, 3, 4], me) for me in (1, 2, 3, 4)}
    after = {me: slots.wanted_slots([1, 2, 4], me) for me in (1, 2, 4)}
    for me, share in after.items():
        assert share >= before[me]
    assert slots.wanted_slots([1, 2], 3) == frozenset()
