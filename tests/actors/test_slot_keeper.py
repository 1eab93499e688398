"""A replica's place: what its bots are told to hold is what the database says is its own, or nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from sqlalchemy import text

from botwarden.actors.bots import Drop, Take
from botwarden.actors.slot_keeper import HAND_OVER_WITHIN_S, STEP_DOWN_AFTER_S, SlotKeeperActor
from botwarden.actors.standing import Standing
from botwarden.actors.surroundings import Rules, Surroundings
from botwarden.persistence import slots
from botwarden.persistence.database import Database, Transaction
from botwarden.persistence.errors import Doubtful
from botwarden.persistence.slots import ReplicaLock
from botwarden.persistence.tables import SLOT_COUNT
from botwarden.runtime.testing import FakeClock, Probe, Stage, run_actor
from tests.persistence.examples import add_replica, rows, scalar

pytestmark = pytest.mark.anyio

ALL = frozenset(range(SLOT_COUNT))

PATIENCE_S = 30

_HELD = "SELECT slot FROM slots WHERE replica_id = :me"
_LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
_BEATS = "SELECT count(DISTINCT beat_at) FROM replicas WHERE id = :me AND beat_at > :since"


class LossyDatabase(Database):
    """The real door, which can lose the answer of the next commit that gives slots away or takes them."""

    loses_answer = False

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """As the database does; the commit happens, and its answer is lost."""
        async with super().begin() as tx:
            yield tx
            changed = self.loses_answer and (await tx.execute(_CHANGED_SLOTS)).scalar_one()
        if changed:
            self.loses_answer = False
            raise Doubtful


_CHANGED_SLOTS = text("""
    SELECT EXISTS (
        SELECT FROM slots WHERE xmin::text::bigint = (pg_current_xact_id()::text::bigint & 4294967295)
    )
""")


@dataclass
class Replica:
    """A keeper, and somebody who hears what it tells the bots."""

    clock: FakeClock
    database: LossyDatabase
    standing: Standing
    stage: Stage[Any]
    bots: Probe
    asked: list[Any] = field(default_factory=list)

    async def hear(self, kind: type, *, step_s: float = 0.1) -> Any:
        """Return the next message to the bots, which must be of this kind; time passes until it comes."""
        with anyio.fail_after(PATIENCE_S):
            while len(self.bots.received) == len(self.asked):
                await self._advance(step_s)
        message = self.bots.received[len(self.asked)]
        self.asked.append(message)
        assert isinstance(message, kind), message
        return message

    async def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps."""
        for _ in range(round(seconds / 0.1)):
            await self._advance(0.1)

    async def _advance(self, step_s: float) -> None:
        """Let time pass, and the keeper finish what it does then: nothing depends on speed."""
        await self.clock.advance(step_s)
        while self.stage.ref.cell._task is not None:
            await checkpoint()

    async def stop(self) -> None:
        """Stop the keeper in order; its deadline stands still meanwhile."""
        self.stage.ref.cell.request_stop()
        await self.stage.ref.cell.ended()

    async def held(self) -> frozenset[int]:
        """Return the slots that the database counts as ours."""
        return frozenset(row.slot for row in await rows(self.database, _HELD, me=self.standing.replica_id))


@pytest.fixture
async def replica(database_url) -> AsyncIterator[Replica]:
    """A replica that has been told nothing yet."""
    clock, standing = FakeClock(), Standing()
    # Nothing is given up by the server while a test lets time stand still.
    database = LossyDatabase.connect(database_url, lock_timeout_ms=60_000)
    nothing: Any = None
    surroundings = Surroundings(
        database=database,
        direct_url=database_url,
        broadcast=nothing,
        cache=nothing,
        exchange=nothing,
        symbols=nothing,
        clock=clock,
        tag="abc123",
        replica_name="one",
        rules=Rules(absence_margin={}),
    )
    found: list[Any] = []
    async with run_actor(
        lambda: SlotKeeperActor(surroundings, lambda: found[0] if found else None, standing), clock=clock
    ) as stage:
        probe = await stage.probe()
        found.append(probe.ref)
        replica = Replica(clock, database, standing, stage, probe)
        yield replica
        await replica.stop()
    await database.close()


@asynccontextmanager
async def another_replica(replica: Replica, database_url: str) -> AsyncIterator[int]:
    """Let another replica live meanwhile, though it never beats again."""
    other = await add_replica(replica.database, "two")
    lock = ReplicaLock(database_url, other)
    await lock.acquire()
    async with replica.database.begin() as tx:
        await tx.execute(
            text("UPDATE replicas SET beat_at = now() + interval '1 hour' WHERE id = :id"), {"id": other}
        )
    yield other
    await lock.close()


async def test_every_slot_is_taken_up_by_the_only_replica(replica):
    """Who is alone holds everything, and its bots are told once."""
    take = await replica.hear(Take)
    assert take.slots == ALL == replica.standing.slots == await replica.held()
    await replica.pass_time(2)
    assert len(replica.bots.received) == 1


async def test_slots_whose_answer_was_lost_are_taken_up(replica):
    """A take that was committed without an answer is made up for by the next look."""
    replica.database.loses_answer = True
    take = await replica.hear(Take)
    assert not replica.database.loses_answer
    assert take.slots == ALL == replica.standing.slots == await replica.held()


async def test_a_hand_over_does_not_hold_up_the_beats(replica, database_url):
    """While bots finish their work the replica beats on; then the slots are the other's to take."""
    await replica.hear(Take)
    me = replica.standing.replica_id
    async with another_replica(replica, database_url) as other:
        drop = await replica.hear(Drop)
        assert 0 < len(drop.slots) < SLOT_COUNT
        assert drop.slots == slots.wanted_slots([me, other], other)
        since = await scalar(replica.database, "SELECT beat_at FROM replicas WHERE id = :me", me=me)
        await replica.pass_time(STEP_DOWN_AFTER_S + 1)
        assert await scalar(replica.database, _BEATS, me=me, since=since) == 1
        assert await replica.held() == ALL
        drop.reply.send(None)
        await replica.pass_time(1)
        assert await replica.held() == ALL - drop.slots == replica.standing.slots
    assert replica.standing.replica_id == me


async def test_a_hand_over_that_failed_is_undone_if_nobody_wants_it(replica, database_url):
    """Slots that the bots were told to give up, and that stay ours, are taken up again."""
    await replica.hear(Take)
    async with another_replica(replica, database_url):
        drop = await replica.hear(Drop)
    take = await replica.hear(Take, step_s=HAND_OVER_WITHIN_S / 10)
    assert take.slots == drop.slots
    assert replica.standing.slots == ALL == await replica.held()


async def test_a_release_whose_answer_was_lost_is_believed(replica, database_url):
    """The other's slots are the other's, whether we heard the answer or not."""
    await replica.hear(Take)
    async with another_replica(replica, database_url):
        drop = await replica.hear(Drop)
        replica.database.loses_answer = True
        drop.reply.send(None)
        await replica.pass_time(2)
        assert not replica.database.loses_answer
        assert await replica.held() == ALL - drop.slots == replica.standing.slots
        assert len(replica.bots.received) == 2


async def test_slots_that_others_took_are_let_go(replica):
    """What the database counts as somebody else's is not held on to."""
    await replica.hear(Take)
    other = await add_replica(replica.database, "two")
    async with replica.database.begin() as tx:
        await tx.execute(text("UPDATE replicas SET draining = true WHERE id = :id"), {"id": other})
        await tx.execute(
            text("UPDATE slots SET replica_id = :id, term = term + 1 WHERE slot < 10"), {"id": other}
        )
    drop = await replica.hear(Drop)
    assert (drop.slots, drop.reply) == (frozenset(range(10)), None)


async def test_a_query_that_hangs_does_not_keep_a_replica_from_stepping_down(replica, database_url):
    """Who cannot beat in time stops its bots at that moment, without writing, and joins anew later."""
    await replica.hear(Take)
    me = replica.standing.replica_id
    watcher = Database.connect(database_url)
    async with watcher.begin() as tx:
        await tx.execute(text("LOCK TABLE replicas IN ACCESS EXCLUSIVE MODE"))
        with anyio.fail_after(PATIENCE_S):
            while replica.standing.replica_id is not None:
                await tx.execute(text("SELECT 1"))
                await replica.clock.advance(0.5)
        assert replica.bots.received[-1] == Drop(slots=ALL, reply=None)
        assert replica.standing.slots == frozenset()
        assert replica.clock.monotonic() <= STEP_DOWN_AFTER_S + 2
        held = await tx.execute(text(_HELD), {"me": me})
        assert len(held.all()) == SLOT_COUNT
    replica.asked.append(replica.bots.received[-1])
    take = await replica.hear(Take)
    assert take.slots == ALL == await replica.held()
    assert replica.standing.replica_id != me
    assert await scalar(watcher, _LOCKS) == 1
    await watcher.close()


async def test_a_keeper_that_crashed_goes_on_with_what_it_held(replica):
    """A restarted keeper is the same replica: no second lock, no step down, nothing told to the bots."""
    await replica.hear(Take)
    me = replica.standing.replica_id
    await rename(replica.database, "slots", "lost_slots")
    with anyio.fail_after(PATIENCE_S):
        while not replica.stage.crashes:
            await replica.pass_time(0.5)
    await rename(replica.database, "lost_slots", "slots")
    await replica.pass_time(3)
    assert (replica.standing.replica_id, replica.standing.slots) == (me, ALL)
    assert await scalar(replica.database, _LOCKS) == 1
    assert len(replica.bots.received) == 1


async def rename(database: Database, name: str, to: str) -> None:
    async with database.begin() as tx:
        await tx.execute(text(f"ALTER TABLE {name} RENAME TO {to}"))


async def test_an_orderly_stop_gives_everything_back(replica):
    """At the end nobody holds the slots, the lock is free, and the replica is not counted on."""
    await replica.hear(Take)
    me = replica.standing.replica_id
    await replica.stop()
    assert await scalar(replica.database, "SELECT count(*) FROM slots WHERE replica_id IS NULL") == SLOT_COUNT
    assert await scalar(replica.database, "SELECT draining FROM replicas WHERE id = :me", me=me)
    assert await scalar(replica.database, _LOCKS) == 0
