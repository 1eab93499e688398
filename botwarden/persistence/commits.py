"""Group commit: what many bots decided, in one transaction; each bot gets its own outcome.

    together ──locked row──▶ only those whose rows are free
             ──bad change──▶ one by one, so that only the bad one fails
             ──deadlock────▶ together again, a few times

State, order, settlement, fills, trade and audit event of one decision are written together or not at all,
under the bot's row lock, and only if the row still has the version and term that the decision looked at.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from botwarden.errors import BotwardenError, Locked, Unavailable
from botwarden.persistence import errors
from botwarden.persistence.database import Database, Transaction, broken_constraint
from botwarden.persistence.halts import halted_users
from botwarden.persistence.order_rows import (
    Booking,
    OrderNotOpenError,
    insert_orders,
    ordered,
    settle_orders,
)
from botwarden.persistence.transitions import RESET_KEY, Transition, write_transitions
from botwarden.trading.bot import BotConfig, BotId, BotState, Venue
from botwarden.trading.decisions import Decision
from botwarden.trading.orders import ListEnded, Order, OrderType, Outcome, Side

#: A batch waits so long for a row that someone else has locked; then it goes on without that bot.
LOCK_TIMEOUT_MS = 250

#: How often a batch that met a deadlock is tried.
_TRIES = 3


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """An open order, or a resting list, and how it ended."""

    order: Order
    outcome: Outcome
    #: The order was given up, with nothing executed, and the venue knows it after all.
    late: bool = False


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be committed for one bot."""

    config: BotConfig
    #: The state that the decision looked at; its version and term guard the write.
    before: BotState
    decision: Decision
    settles: Settlement | None = None


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """It stands: `state` has the new version and the database's time, `order` the stamped intent."""

    state: BotState
    order: Order | None = None


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """The row has moved on, is held by another, is gone, or the order is settled: nothing was changed."""


class Braked(msgspec.Struct, frozen=True, kw_only=True):
    """The account's emergency brake is on, and this would have entered: nothing was changed."""


class CommitUnavailable(msgspec.Struct, frozen=True, kw_only=True):
    """The row was locked or the database away: nothing was changed, try again."""

    message: str = "the database is unavailable"


class Doubtful(msgspec.Struct, frozen=True, kw_only=True):
    """The connection was lost at COMMIT: read the row to learn whether it stands."""

    message: str = "the connection was lost while committing"


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The database refuses this change as a matter of principle: a bug. Nothing was changed."""

    message: str


CommitOutcome = Committed | Conflict | Braked | CommitUnavailable | Doubtful | Failed

Stamp = Callable[[Venue], datetime]

#: Outcomes of those bots of a batch that have one.
_Outcomes = dict[BotId, CommitOutcome]


async def commit(
    database: Database, changes: Sequence[Change], *, tag: str, stamp: Stamp
) -> list[CommitOutcome]:
    """Commit the changes together; return an outcome for each, in their order.

    Of several changes of one bot only the first is tried. `stamp` tells a venue's present time; intents
    get it as their transaction opens.
    """
    firsts: dict[BotId, Change] = {}
    for change in changes:
        firsts.setdefault(change.before.bot_id, change)
    outcomes = await _Committer(database, tag, stamp).commit(list(firsts.values()))
    return [
        outcomes[change.before.bot_id] if firsts[change.before.bot_id] is change else Conflict()
        for change in changes
    ]


class _Committer:
    """The ways in which one batch is tried."""

    def __init__(self, database: Database, tag: str, stamp: Stamp) -> None:
        self._database = database
        self._tag = tag
        self._stamp = stamp

    async def commit(self, batch: Sequence[Change]) -> _Outcomes:
        for _ in range(_TRIES):
            try:
                return await self._together(batch, only_free=False)
            except errors.Deadlocked:
                continue
            except Locked:
                return await self._only_free(batch)
            except errors.Doubtful:
                return _all(batch, Doubtful())
            except Unavailable as away:
                return _all(batch, CommitUnavailable(message=str(away)))
            except (DBAPIError, OrderNotOpenError) as error:
                return await self._one_by_one(batch, error)
        return _all(batch, CommitUnavailable(message="deadlocked again and again"))

    async def _only_free(self, batch: Sequence[Change]) -> _Outcomes:
        try:
            return await self._together(batch, only_free=True)
        except errors.Doubtful:
            return _all(batch, Doubtful())
        except (Locked, Unavailable) as away:
            return _all(batch, CommitUnavailable(message=str(away)))
        except (DBAPIError, OrderNotOpenError) as error:
            return await self._one_by_one(batch, error)

    async def _one_by_one(self, batch: Sequence[Change], error: Exception) -> _Outcomes:
        if len(batch) == 1:
            return _all(batch, Failed(message=_reason(error)))
        outcomes: _Outcomes = {}
        for change in batch:
            outcomes |= await self.commit([change])
        return outcomes

    async def _together(self, batch: Sequence[Change], *, only_free: bool) -> _Outcomes:
        async with self._database.begin() as tx:
            await tx.execute(_OPEN)
            stamps, outcomes = self._stamps(batch)
            tried = [change for change in batch if change.before.bot_id not in outcomes]
            if only_free:
                free = await _lock_free(tx, tried)
                locked = [change for change in tried if change.before.bot_id not in free]
                outcomes |= _all(locked, CommitUnavailable(message="the bot's row is locked"))
                tried = [change for change in tried if change.before.bot_id in free]
            braked = await _braked(tx, tried)
            outcomes |= _all(braked, Braked())
            tried = [change for change in tried if change.before.bot_id not in outcomes]
            return outcomes | await self._write(tx, tried, stamps)

    async def _write(
        self, tx: Transaction, batch: Sequence[Change], stamps: dict[Venue, datetime]
    ) -> _Outcomes:
        states = await write_transitions(tx, [_transition(change) for change in batch])
        written = [change for change in batch if change.before.bot_id in states]
        intents = [
            (change.config, ordered(change.config, intent, tag=self._tag, at=stamps[change.config.venue]))
            for change in written
            if (intent := change.decision.intent) is not None
        ]
        await insert_orders(tx, intents)
        await settle_orders(tx, [booking for change in written for booking in _bookings(change)])
        orders = {order.bot_id: order for _, order in intents}
        outcomes = _all(batch, Conflict())
        for bot_id, state in states.items():
            outcomes[bot_id] = Committed(state=state, order=orders.get(bot_id))
        return outcomes

    def _stamps(self, batch: Sequence[Change]) -> tuple[dict[Venue, datetime], _Outcomes]:
        """Return each venue's time, and the outcomes of those whose venue cannot tell it."""
        stamps: dict[Venue, datetime] = {}
        outcomes: _Outcomes = {}
        for change in batch:
            venue = change.config.venue
            if change.decision.intent is None or venue in stamps:
                continue
            try:
                stamps[venue] = self._stamp(venue)
            except BotwardenError as away:
                outcomes[change.before.bot_id] = CommitUnavailable(message=str(away))
        return stamps, outcomes


def _all(batch: Sequence[Change], outcome: CommitOutcome) -> _Outcomes:
    return {change.before.bot_id: outcome for change in batch}


def _transition(change: Change) -> Transition:
    decision = change.decision
    return Transition(
        before=change.before,
        after=decision.state,
        cause=decision.cause,
        kind=decision.kind,
        message=decision.message,
        settles=change.settles.order.number if change.settles is not None else None,
        late=change.settles is not None and change.settles.late,
    )


def _bookings(change: Change) -> list[Booking]:
    """Return what the settlement ends: the order, and with a cancel the list that was resting till then."""
    if change.settles is None:
        return []
    order, outcome = change.settles.order, change.settles.outcome
    bookings = [_booking(change, order.number, order.type, outcome)]
    listed = change.before.resting_list_number
    if isinstance(outcome, ListEnded) and listed is not None and order.cancels_number == listed:
        bookings.append(_booking(change, listed, OrderType.OCO, outcome))
    return bookings


def _booking(change: Change, number: int, type_: OrderType, outcome: Outcome) -> Booking:
    trade = change.decision.trade
    if trade is not None and trade.order_number != number:
        trade = None
    late = change.settles is not None and change.settles.late
    return Booking(config=change.config, number=number, type=type_, outcome=outcome, trade=trade, late=late)


def _reason(error: Exception) -> str:
    """Return what the database complained of, without any value."""
    cause: BaseException = error
    constraint: str | None = None
    if isinstance(error, DBAPIError) and error.orig is not None:
        cause = error.orig.__cause__ or error.orig
        constraint = broken_constraint(error)
    kind = type(cause).__name__
    return f"{kind}: {constraint}" if constraint else kind


async def _braked(tx: Transaction, batch: Sequence[Change]) -> list[Change]:
    """Return the entries among the changes that an emergency brake forbids."""
    entries = [
        change
        for change in batch
        if change.decision.intent is not None and change.decision.intent.side is Side.BUY
    ]
    if not entries:
        return []
    held = await halted_users(tx, {change.config.user_id for change in entries})
    return [change for change in entries if change.config.user_id in held]


async def _lock_free(tx: Transaction, batch: Sequence[Change]) -> set[BotId]:
    """Lock those rows that nobody else has locked."""
    rows = await tx.execute(_LOCK_FREE, {"bot_ids": [change.before.bot_id for change in batch]})
    return set(rows.scalars())


_OPEN = text(
    # The wait for the daily reset is the session's own, the wait for a row is short.
    f"SELECT pg_advisory_xact_lock_shared({RESET_KEY}),"
    f" set_config('lock_timeout', '{LOCK_TIMEOUT_MS}ms', true)"
)
_LOCK_FREE = text("""
    SELECT bot_id FROM bot_states WHERE bot_id = ANY(CAST(:bot_ids AS bigint[]))
    ORDER BY bot_id FOR NO KEY UPDATE SKIP LOCKED
""")
