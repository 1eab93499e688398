"""Keeps this replica's place among the others: beat, lock, slots, terms.

The beat (one row, database time) is the slow witness of life, the session-level advisory lock on a
connection of its own the fast one. Slots are taken from replicas that are dead by either witness. A wrong
verdict is harmless: taking raises the term of every bot of the slot, so a sleeper's commits find nothing.
On doubt this replica steps down: its bots are stopped at once, without writing, and it joins anew.
"""

from dataclasses import dataclass

import structlog

from botwarden.actors.bots import BotsMessage, Drop, Take
from botwarden.actors.standing import Standing
from botwarden.actors.surroundings import Surroundings
from botwarden.errors import Locked, Unavailable
from botwarden.persistence.slots import (
    ReplicaLock,
    beat,
    read_balance,
    register_replica,
    release_slots,
    take_slots,
    wanted_slots,
)
from botwarden.runtime import Actor, Ref

BEAT_EVERY_S = 1.0
BALANCE_EVERY_S = 0.5

#: A replica whose own last beat is older than this stops its bots: one second before its time to live ends.
STEP_DOWN_AFTER_S = 4.0

#: How long the bots of slots that move to another replica have for their open work.
HAND_OVER_WITHIN_S = 10.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Beat:
    """Say that we live."""


@dataclass(frozen=True, slots=True)
class _Balance:
    """See which slots should be ours."""


class SlotKeeperActor(Actor[_Beat | _Balance]):
    """Joins, beats, takes and releases slots; tells the bots."""

    def __init__(self, surroundings: Surroundings, bots: Ref[BotsMessage], standing: Standing) -> None:
        self._surroundings = surroundings
        self._standing = standing
        self._bots = bots
        self._lock: ReplicaLock | None = None
        self._beaten_at = 0.0

    async def started(self) -> None:
        """Join, and look for slots at once."""
        self.context.start_interval("beat", _Beat(), every_s=BEAT_EVERY_S)
        self.context.start_interval("balance", _Balance(), every_s=BALANCE_EVERY_S)
        self.context.ref.tell(_Balance())

    async def stopped(self) -> None:
        """Give the slots back, so that others need not wait for us to be dead."""
        if self._standing.replica_id is not None:
            try:
                async with self._surroundings.database.begin() as tx:
                    await release_slots(tx, self._standing.replica_id, self._standing.slots)
            except (Unavailable, Locked):
                pass  # Others take them when our lock is gone.
        if self._lock is not None:
            await self._lock.close()

    async def receive(self, message: _Beat | _Balance, /) -> None:
        """Beat or balance; on doubt step down."""
        try:
            if self._standing.replica_id is None:
                await self._join()
            elif isinstance(message, _Beat):
                await self._beat(self._standing.replica_id)
            if self._standing.replica_id is not None and isinstance(message, _Balance):
                await self._balance(self._standing.replica_id)
        except (Unavailable, Locked) as unavailable:
            silent_s = self.context.clock.monotonic() - self._beaten_at
            if self._standing.replica_id is not None and silent_s > STEP_DOWN_AFTER_S:
                await self._step_down(str(unavailable))

    async def _join(self) -> None:
        async with self._surroundings.database.begin() as tx:
            replica_id = await register_replica(tx, self._surroundings.replica_name)
        self._lock = ReplicaLock(self._surroundings.direct_url, replica_id)
        await self._lock.acquire()
        self._beaten_at = self.context.clock.monotonic()
        self._standing.replica_id = replica_id
        log.info("replica.joined", replica_id=replica_id)

    async def _beat(self, replica_id: int) -> None:
        async with self._surroundings.database.begin() as tx:
            alive = await beat(tx, replica_id)
        if not alive or self._lock is None or not await self._lock.probe():
            await self._step_down("the replica's row or lock is gone")
            return
        self._beaten_at = self.context.clock.monotonic()

    async def _balance(self, replica_id: int) -> None:
        async with self._surroundings.database.begin() as tx:
            balance = await read_balance(tx, replica_id)
        wanted = wanted_slots(balance.live, replica_id)
        await self._hand_over(replica_id, self._standing.slots - wanted)
        free = wanted & balance.takeable
        if free:
            async with self._surroundings.database.begin() as tx:
                taken = await take_slots(tx, replica_id, free)
            self._standing.slots |= taken
            log.info("slots.taken", replica_id=replica_id, count=len(taken))
            self._bots.tell(Take(slots=frozenset(taken)))

    async def _hand_over(self, replica_id: int, slots: frozenset[int]) -> None:
        if not slots:
            return
        try:
            await self._bots.ask(lambda reply: Drop(slots=slots, reply=reply), within_s=HAND_OVER_WITHIN_S)
        except Unavailable:
            return  # They are released by a later balance.
        async with self._surroundings.database.begin() as tx:
            await release_slots(tx, replica_id, slots)
        self._standing.slots -= slots

    async def _step_down(self, reason: str) -> None:
        log.error("replica.stepped_down", replica_id=self._standing.replica_id, reason=reason)
        self._bots.tell(Drop(slots=self._standing.slots, reply=None))
        self._standing.replica_id, self._standing.slots = None, frozenset()
        if self._lock is not None:
            await self._lock.close()
            self._lock = None
