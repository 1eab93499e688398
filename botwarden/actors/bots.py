"""The bots of the slots that this replica holds: each an actor, none forgotten.

    slot keeper ──Take/Drop──▶ bots ──spawns──▶ bot, bot, bot …
    Redis ────────Wake───────▶  │ ──Reload────────▲
    every second: sweep ──────▶ │ ──Swept(version)┘

Redis only carries word; the sweep is what makes it true: within a second or two every bot whose row has
moved on reads it again, and every new bot of a held slot is taken up. A bot that crashes too often is
quarantined: its guard goes on without strategy code.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import structlog

from botwarden.actors.announcer import Announce
from botwarden.actors.bot import BotActor
from botwarden.actors.bot_mail import BOT_INBOX, BotMessage, Reload, Swept
from botwarden.actors.colleagues import Colleagues
from botwarden.actors.committer import Commit
from botwarden.actors.loading import BotRow, read_rows, read_rows_of_slots
from botwarden.actors.standing import Standing
from botwarden.actors.surroundings import Surroundings
from botwarden.errors import Locked, Unavailable
from botwarden.persistence.commits import Change, CommitOutcome, Committed
from botwarden.persistence.slots import changed_since, claim_new_bots
from botwarden.persistence.tables import SLOT_COUNT
from botwarden.runtime import Actor, ChildGaveUp, ChildSpec, Ref, Reply, Restart, Terminated
from botwarden.trading.bot import BotId, BotState
from botwarden.trading.machine import Crashed, decide

SWEEP_EVERY_S = 1.0

#: A commit becomes visible later than its time stamp says; sweeps overlap by more than that can be.
SWEEP_BACK_S = 10.0

RETRY_AFTER_S = 1.0

#: How long a quarantine waits for its commit before it reads the row again.
COMMIT_WITHIN_S = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """These slots are ours now: take their bots up, those in position first."""

    slots: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Let go of these slots; answer when none of their bots runs here any more."""

    slots: frozenset[int]
    reply: Reply[None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """Somebody wrote these bots' rows."""

    bot_ids: Sequence[BotId]


@dataclass(frozen=True, slots=True)
class _Sweep:
    """See whose row has moved on."""


BotsMessage = Take | Drop | Wake


class BotsActor(Actor[BotsMessage | _Sweep]):
    """Supervises the bots of the held slots."""

    children_stop_together = True

    def __init__(self, surroundings: Surroundings, colleagues: Colleagues, standing: Standing) -> None:
        self._surroundings = surroundings
        self._colleagues = colleagues
        self._standing = standing
        self._slots = standing.slots
        #: Slots whose bots could not be read yet.
        self._unread = standing.slots
        self._bots: dict[BotId, Ref[BotMessage]] = {}
        #: Bots that do not run until their quarantine is committed.
        self._held_back: set[BotId] = set()
        self._swept_at_s = 0.0

    async def started(self) -> None:
        """Sweep once a second, and at once for slots that were held before this actor crashed."""
        self._swept_at_s = self.context.clock.monotonic()
        self.context.start_interval("sweep", _Sweep(), every_s=SWEEP_EVERY_S)
        self.context.ref.tell(_Sweep())

    async def receive(self, message: BotsMessage | _Sweep, /) -> None:
        """Take up, let go, wake."""
        match message:
            case Take(slots=slots):
                self._slots |= slots
                self._unread |= slots
                await self._read_slots()
            case Drop(slots=slots, reply=reply):
                await self._drop(slots)
                if reply is not None:
                    reply.send(None)
            case Wake(bot_ids=bot_ids):
                await self._wake(bot_ids)
            case _Sweep():
                await self._sweep()

    async def child_gave_up(self, failure: ChildGaveUp) -> None:
        """Quarantine the bot; its neighbours notice nothing."""
        bot_id = _bot_id_of(failure.name)
        self._bots.pop(bot_id, None)
        log.error("bot.quarantined", bot_id=bot_id, error=repr(failure.error), restarts=failure.restarts)
        reason = f"crashed {failure.restarts} times: {type(failure.error).__name__}"
        self._held_back.add(bot_id)
        self.context.start_duty(f"quarantine:{bot_id}", lambda: self._quarantine(bot_id, reason))

    async def terminated(self, death: Terminated) -> None:
        """Forget a bot that has ended: it was deleted, or its slot has changed hands: read that slot."""
        bot_id = _bot_id_of(death.name)
        if self._bots.pop(bot_id, None) is not None and death.error is None:
            self._unread |= self._slots & {slot_of(bot_id)}

    async def _read_slots(self) -> None:
        slots, replica_id = self._unread, self._standing.replica_id
        if not slots or replica_id is None:
            return
        try:
            rows = await read_rows_of_slots(self._surroundings.database, slots, replica_id)
        except (Unavailable, Locked):
            return  # The next sweep tries again.
        self._unread -= slots
        await self._take_up(rows)

    async def _take_up(self, rows: Sequence[BotRow]) -> None:
        """Spawn the bots: positions first, because their stops must be watched before anything else.

        A new bot that nobody has claimed yet has no term to commit under: the next sweep claims it first.
        Their states are told once more: the former holder may have died between a commit and its word.
        """
        taken: list[BotState] = []
        for row in sorted(rows, key=_urgency):
            if row.state.term > 0 and self._may_run(row.config.id):
                ref = await self.context.spawn(self._spec(row))
                self.context.watch(ref)
                self._bots[row.config.id] = ref
                taken.append(row.state)
        if taken:
            self._colleagues.announcer.tell(Announce(states=taken))

    def _may_run(self, bot_id: BotId) -> bool:
        return bot_id not in self._bots and bot_id not in self._held_back and slot_of(bot_id) in self._slots

    def _spec(self, row: BotRow) -> ChildSpec[BotMessage]:
        handed_over = [row]

        def start() -> BotActor:
            # Only the first start gets the row that was read; a restart reads the database, and finds out
            # by the term whether the bot is still ours.
            first = handed_over.pop() if handed_over else None
            return BotActor(row.config.id, row.state.term, self._surroundings, self._colleagues, first)

        return ChildSpec(
            name=f"bot:{row.config.id}", start=start, restart=Restart.TRANSIENT, inbox=BOT_INBOX, wait=False
        )

    async def _drop(self, slots: Collection[int]) -> None:
        self._slots -= frozenset(slots)
        self._unread -= frozenset(slots)
        leaving = [bot_id for bot_id in self._bots if slot_of(bot_id) in slots]
        refs = [self._bots.pop(bot_id) for bot_id in leaving]
        await self.context.stop_children(refs)

    async def _wake(self, bot_ids: Sequence[BotId]) -> None:
        strangers: set[int] = set()
        for bot_id in bot_ids:
            if (ref := self._bots.get(bot_id)) is not None:
                ref.tell(Reload())
            elif slot_of(bot_id) in self._slots:
                strangers.add(slot_of(bot_id))
        if strangers:
            self._unread |= strangers
            await self._sweep()

    async def _sweep(self) -> None:
        """Claim what is new, wake who moved on since the last sweep, and take up whom we do not know."""
        await self._read_slots()
        replica_id = self._standing.replica_id
        if not self._slots or replica_id is None:
            return
        now_s = self.context.clock.monotonic()
        try:
            async with self._surroundings.database.begin() as tx:
                claimed = await claim_new_bots(tx, replica_id)
                moved = await changed_since(tx, replica_id, now_s - self._swept_at_s + SWEEP_BACK_S)
        except (Unavailable, Locked):
            return  # The next sweep looks back as far as this one would have.
        self._swept_at_s = now_s
        strangers = [bot_id for bot_id in claimed if bot_id not in self._bots]
        for bot_id, version in moved:
            if (ref := self._bots.get(bot_id)) is not None:
                ref.tell(Swept(version=version))
            else:
                strangers.append(bot_id)
        await self._take_up_strangers(strangers, replica_id)

    async def _take_up_strangers(self, bot_ids: Sequence[BotId], replica_id: int) -> None:
        try:
            await self._take_up(await read_rows(self._surroundings.database, bot_ids, holder=replica_id))
        except (Unavailable, Locked):
            # The next sweep reads their slots, however long it takes until it can.
            self._unread |= self._slots & {slot_of(bot_id) for bot_id in bot_ids}

    async def _quarantine(self, bot_id: BotId, reason: str) -> None:
        """Commit the quarantine, however long that takes; then the bot runs again, with its guard alone."""
        while not await self._commit_crash(bot_id, reason):
            await self.context.clock.sleep(RETRY_AFTER_S)
        self._held_back.discard(bot_id)
        self._unread |= self._slots & {slot_of(bot_id)}
        self.context.ref.tell(_Sweep())

    async def _commit_crash(self, bot_id: BotId, reason: str) -> bool:
        replica_id = self._standing.replica_id
        if replica_id is None:
            return False
        try:
            rows = await read_rows(self._surroundings.database, [bot_id], holder=replica_id)
        except (Unavailable, Locked):
            return False
        if not rows or slot_of(bot_id) not in self._slots:
            return True
        event = Crashed(message=reason, at=self.context.clock.now())
        decision = decide(rows[0].config, rows[0].state, event, instrument=None)
        if decision.state == rows[0].state:
            return True
        change = Change(config=rows[0].config, before=rows[0].state, decision=decision, settles=None)
        try:
            outcome: CommitOutcome = await self._colleagues.committer.ask(
                lambda reply: Commit(change=change, reply=reply), within_s=COMMIT_WITHIN_S
            )
        except Unavailable:
            return False  # If it was committed after all, the row tells.
        return isinstance(outcome, Committed)


def slot_of(bot_id: BotId) -> int:
    """Return the hash slot that the bot falls into."""
    return bot_id % SLOT_COUNT


def _bot_id_of(name: str) -> BotId:
    return BotId(int(name.rpartition(":")[2]))


def _urgency(row: BotRow) -> tuple[int, BotId]:
    state = row.state
    if state.in_position and state.is_active:
        return 0, state.bot_id
    if state.is_expecting or state.close_requested_at is not None:
        return 1, state.bot_id
    return (2 if state.is_active else 3), state.bot_id
