"""Keeps this replica's place among the others: beat, lock, slots, terms.

The beat (one row, database time) is the slow witness of life, the session-level advisory lock on a
connection of its own the fast one. Slots are taken from replicas that are dead by either witness. A wrong
verdict is harmless: taking raises the term of every bot of the slot, so a sleeper's commits find nothing.

The invariant: what the bots are told to hold follows what the database says is ours, whatever answers were
lost on the way. A replica that could not beat for too long steps down at that very moment, also amid a
query that hangs: its bots are stopped without writing, and it joins anew.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    set_draining,
    take_slots,
    wanted_slots,
)
from botwarden.persistence.tables import SLOT_COUNT
from botwarden.runtime import Actor, Ref

BEAT_EVERY_S = 1.0
BALANCE_EVERY_S = 0.5

#: A death that is due before the next look is looked at this much later than it is due.
MOMENT_S = 0.02

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _HandedOver:
    """The bots of these slots run here no more, or nobody knows."""

    replica_id: int
    slots: frozenset[int]
    is_certain: bool


_Message = _Beat | _Balance | _HandedOver


class SlotKeeperActor(Actor[_Message]):
    """Joins, beats, takes and releases slots; tells the bots."""

    def __init__(
        self,
        surroundings: Surroundings,
        find_bots: Callable[[], Ref[BotsMessage] | None],
        standing: Standing,
    ) -> None:
        self._surroundings = surroundings
        #: The bots start after their keeper, so that they stop before it.
        self._find_bots = find_bots
        self._standing = standing
        #: Slots that the bots are letting go of at present.
        self._leaving: frozenset[int] = frozenset()
        self._hand_overs = 0

    async def started(self) -> None:
        """Join, and look for slots at once."""
        self.context.start_interval("beat", _Beat(), every_s=BEAT_EVERY_S)
        self.context.start_interval("balance", _Balance(), every_s=BALANCE_EVERY_S)
        self.context.ref.tell(_Balance())

    async def stopped(self) -> None:
        """Give the slots back, so that others need not wait for us to be dead."""
        replica_id = self._standing.replica_id
        if replica_id is not None:
            try:
                async with self._surroundings.database.begin() as tx:
                    await set_draining(tx, replica_id)
                    await release_slots(tx, replica_id, range(SLOT_COUNT))
            except (Unavailable, Locked):
                pass  # Others take them when our lock is gone.
            self._forget_slots()
        await self._close_lock()

    async def receive(self, message: _Message, /) -> None:
        """Beat, balance or release; on doubt step down."""
        try:
            with self._watched():
                await self._serve(message)
        except (Unavailable, Locked) as unavailable:
            if self._silent_s() > STEP_DOWN_AFTER_S:
                self._step_down(str(unavailable))
        if self._standing.replica_id is None:
            await self._close_lock()

    async def _serve(self, message: _Message) -> None:
        replica_id = self._standing.replica_id or await self._join()
        match message:
            case _Beat():
                await self._beat(replica_id)
            case _Balance():
                await self._balance(replica_id)
            case _HandedOver() if message.replica_id == replica_id:
                self._leaving -= message.slots
                if message.is_certain:
                    async with self._surroundings.database.begin() as tx:
                        await release_slots(tx, replica_id, message.slots)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Step down at the moment when the last beat is too old, though the block has not ended.

        What hangs is left to its own time-outs; whoever comes back from it looks who we are by then.
        """
        silent_s = self._silent_s() if self._standing.replica_id is not None else 0.0
        alarm = self.context.clock.call_later(
            max(0.0, STEP_DOWN_AFTER_S - silent_s), lambda: self._step_down("the database does not answer")
        )
        try:
            yield
        finally:
            alarm.cancel()

    async def _join(self) -> int:
        await self._close_lock()
        now_s = self.context.clock.monotonic()
        async with self._surroundings.database.begin() as tx:
            replica_id = await register_replica(tx, self._surroundings.replica_name)
        self._standing.lock = ReplicaLock(self._surroundings.direct_url, replica_id)
        await self._standing.lock.acquire()
        self._standing.beaten_at_s = now_s
        self._standing.replica_id = replica_id
        log.info("replica.joined", replica_id=replica_id)
        return replica_id

    async def _beat(self, replica_id: int) -> None:
        now_s = self.context.clock.monotonic()
        async with self._surroundings.database.begin() as tx:
            alive = await beat(tx, replica_id)
        lock = self._standing.lock
        alive = alive and lock is not None and await lock.probe(within_s=STEP_DOWN_AFTER_S)
        if not alive:
            self._step_down("the replica's row or lock is gone")
        elif self._standing.replica_id == replica_id:
            self._standing.beaten_at_s = now_s

    async def _balance(self, replica_id: int) -> None:
        bots = self._find_bots()
        if bots is None or not bots.is_alive:
            return
        async with self._surroundings.database.begin() as tx:
            balance = await read_balance(tx, replica_id)
        if self._standing.replica_id != replica_id:
            return
        if balance.next_death_s < BALANCE_EVERY_S:
            self.context.start_timer("death", _Balance(), after_s=max(balance.next_death_s, 0.0) + MOMENT_S)
        wanted = wanted_slots(balance.live, replica_id)
        self._let_go(bots, self._standing.slots - balance.held)
        self._hand_over(bots, replica_id, balance.held - wanted - self._leaving)
        # Ours though nobody told us: the answer of a commit was lost, or a hand-over came to nothing.
        self._take_up(bots, (balance.held & wanted) - self._leaving - self._standing.slots)
        free = wanted & balance.takeable
        if free:
            async with self._surroundings.database.begin() as tx:
                taken = await take_slots(tx, replica_id, free)
            if self._standing.replica_id == replica_id:
                self._take_up(bots, taken)

    def _take_up(self, bots: Ref[BotsMessage], slots: frozenset[int]) -> None:
        if slots:
            self._standing.slots |= slots
            log.info("slots.taken", replica_id=self._standing.replica_id, count=len(slots))
            bots.tell(Take(slots=slots))

    def _let_go(self, bots: Ref[BotsMessage], slots: frozenset[int]) -> None:
        """Stop the bots of slots that others have taken."""
        if slots:
            self._standing.slots -= slots
            log.warning("slots.lost", replica_id=self._standing.replica_id, count=len(slots))
            bots.tell(Drop(slots=slots, reply=None))

    def _hand_over(self, bots: Ref[BotsMessage], replica_id: int, slots: frozenset[int]) -> None:
        """Have the bots of the slots end in order, beside the beats; the slots are released then."""
        if not slots:
            return
        self._standing.slots -= slots
        self._leaving |= slots
        self._hand_overs += 1

        async def ask() -> None:
            is_certain = True
            try:
                await bots.ask(lambda reply: Drop(slots=slots, reply=reply), within_s=HAND_OVER_WITHIN_S)
            except Unavailable:
                is_certain = False  # A later balance asks again, or takes them up again.
            self.context.ref.tell(_HandedOver(replica_id=replica_id, slots=slots, is_certain=is_certain))

        self.context.start_duty(f"hand over {self._hand_overs}", ask)

    def _step_down(self, reason: str) -> None:
        """Stop the bots at once, without writing."""
        if self._standing.replica_id is None:
            return
        log.error("replica.stepped_down", replica_id=self._standing.replica_id, reason=reason)
        bots = self._find_bots()
        if bots is not None:
            bots.tell(Drop(slots=self._standing.slots | self._leaving, reply=None))
        self._forget_slots()

    def _forget_slots(self) -> None:
        self._standing.replica_id, self._standing.slots = None, frozenset()
        self._leaving = frozenset()

    async def _close_lock(self) -> None:
        lock, self._standing.lock = self._standing.lock, None
        if lock is not None:
            await lock.close()

    def _silent_s(self) -> float:
        return self.context.clock.monotonic() - self._standing.beaten_at_s
