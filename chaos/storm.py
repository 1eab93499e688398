"""Everybody who writes bots, against each other over one database.

Group commits that trade, owners' PUTs, stop-all, deletes, take-overs and brakes go on while one day after
the other is turned, each by several replicas that all try. The bots start in the past; no clock is watched,
and every choice comes from a seed. At the end the books must say what the writers were told.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from msgspec.structs import replace
from sqlalchemy import text

from botwarden.errors import Locked, Missing, Refused
from botwarden.persistence import bots, halts, slots
from botwarden.persistence.commits import Change, Committed, Failed, Settlement, commit
from botwarden.persistence.database import Database
from botwarden.persistence.errors import Deadlocked
from botwarden.persistence.open_orders import read_open_orders
from botwarden.persistence.progress import write_progress
from botwarden.persistence.resets import ResetDone, reset_day
from botwarden.persistence.tables import SLOT_COUNT
from botwarden.persistence.transitions import Transition, share_reset_lock, write_transitions
from botwarden.trading.bot import BotConfig, BotId, BotState, Cause, UserId
from botwarden.trading.decisions import Decision, StartRequested, StopRequested
from botwarden.trading.machine import decide
from botwarden.trading.orders import Executed, Fill, Order, OrderIntent, OrderStatus, Reason, Side, Trade

_Loaded = Sequence[tuple[BotConfig, BotState]]
_Write = Callable[[random.Random], Awaitable[None]]

#: Bots of one group commit, at most.
BATCH = 25
#: How many replicas try to turn each day.
CLOCKS = 3
_TAG = "abc123"


class Storm:
    """The writers, what they were told, and whether the books agree."""

    def __init__(self, database: Database, owner: UserId, bot_ids: Sequence[BotId], *, seed: int) -> None:
        self._database = database
        self._owner = owner
        self._bots = list(bot_ids)
        self._seed = seed
        #: What was done how often.
        self.done: Counter[str] = Counter()
        #: What must not be, in words.
        self.faults: list[str] = []
        #: Versions of bots that were accepted.
        self._accepted: set[tuple[BotId, int]] = set()
        self._deleted: set[BotId] = set()
        #: Bots that were made on the way: they live in the present day, and no turn is theirs.
        self._made: set[BotId] = set()
        self._venue_trades = 0
        self._quiet: set[str] = set()
        self._all_wrote = anyio.Event()
        self._is_over = False

    async def rage(self, days: int) -> None:
        """Turn so many days, one after the other, while everybody writes; then hold the books to it."""
        await self._look_closely()
        before = await self._deadlocks()
        today: date = await self._scalar("SELECT (now() AT TIME ZONE 'utc')::date")
        first = today - timedelta(days=days)
        async with self._database.begin() as tx:
            await tx.execute(text("UPDATE bot_states SET trading_day = :day"), {"day": first})
            replicas = [await slots.register_replica(tx, name) for name in ("one", "two")]
        writers: dict[str, _Write] = {f"group commit {number}": self._commit for number in range(4)}
        writers |= {f"trade {number}": self._trade for number in range(4)}
        writers |= {"PUT": self._put, "PUT again": self._put, "stop all": self._stop_all}
        writers |= {"start": self._start, "delete": self._delete, "brake": self._brake}
        writers |= {f"take-over {me}": self._taking(me) for me in replicas}
        async with anyio.create_task_group() as tasks:
            for number, (name, write) in enumerate(writers.items()):
                rng = random.Random(self._seed * 1000 + number)  # noqa: S311 - a seed
                tasks.start_soon(self._go_on, name, write, rng)
            for day in (first + timedelta(days=after) for after in range(1, days + 1)):
                await self._let_write(writers)
                await self._turn(day)
            await self._let_write(writers)
            self._is_over = True
        await self._audit(days)
        if (deadlocked := await self._deadlocks() - before) > 0:
            self.faults.append(f"the server ended {deadlocked} deadlocks")

    async def _go_on(self, name: str, write: _Write, rng: random.Random) -> None:
        kind = name.rstrip("0123456789 ").removesuffix(" again")
        while not self._is_over:
            with self._told(kind):
                await write(rng)
            await checkpoint()  # Whoever had nothing to do lets others.
            self._quiet.discard(name)
            if not self._quiet:
                self._all_wrote.set()

    @contextmanager
    def _told(self, kind: str) -> Iterator[None]:
        """Count what was done, and what had to be given up for this time."""
        try:
            yield
        except Deadlocked:
            self.faults.append(f"{kind}: deadlocked")
            self.done[f"{kind}: deadlocked"] += 1
        except (Locked, Missing, Refused) as refused:
            self.done[f"{kind}: {type(refused).__name__.lower()}"] += 1
        else:
            self.done[kind] += 1

    async def _let_write(self, writers: dict[str, _Write]) -> None:
        """Return when each has written, or tried to, once more."""
        self._all_wrote, self._quiet = anyio.Event(), set(writers)
        await self._all_wrote.wait()

    # Those who write.

    async def _turn(self, day: date) -> None:
        turned: list[bool] = []

        async def try_it() -> None:
            while True:
                with self._told("turn of the day"):
                    async with self._database.begin() as tx:
                        outcome = await reset_day(tx, day)
                    turned.append(isinstance(outcome, ResetDone))
                    return

        async with anyio.create_task_group() as tasks:
            for _ in range(CLOCKS):
                tasks.start_soon(try_it)
        if turned.count(True) != 1:
            self.faults.append(f"{turned.count(True)} replicas turned {day}")

    async def _commit(self, rng: random.Random) -> None:
        chosen = rng.sample(self._bots, min(BATCH, len(self._bots)))
        loaded = await self._load(chosen)
        await self._write(
            [
                _change(config, replace(state, last_error_message=f"after {state.version}"), state)
                for config, state in loaded
            ]
        )
        await write_progress(self._database, {config.id: datetime.now(UTC) for config, _ in loaded})

    async def _trade(self, rng: random.Random) -> None:
        """Intend an order and book it as executed on the bot's day, the one before, or the one that comes."""
        bot_id = rng.choice(self._bots)
        for config, state in await self._load([bot_id]):
            if state.open_order_number is None:
                await self._write([_ordering(config, state)])
        async with self._database.read() as tx:
            order = (await read_open_orders(tx, [bot_id])).get(bot_id)
        for config, state in await self._load([bot_id]) if order else []:
            if order is not None and state.open_order_number == order.number:
                self._venue_trades += 1
                day = state.trading_day + timedelta(days=rng.randrange(-1, 2))
                await self._write([_booking(config, state, order, day, self._venue_trades)])
                self.done["bookings tried"] += 1

    async def _put(self, rng: random.Random) -> None:
        async with self._database.begin() as tx:
            _, state = await bots.lock_bot(tx, self._owner, rng.choice(self._bots))
            after = replace(state, daily_trades_count=rng.randrange(1000))
            decision = Decision(state=after, cause=Cause.OWNER, kind="state.put")
            saved = await bots.save_bot(tx, state, decision, adjustments=True)
        self._accept([saved], [state])

    async def _start(self, rng: random.Random) -> None:
        async with self._database.begin() as tx:
            config, state = await bots.lock_bot(tx, self._owner, rng.choice(self._bots))
            decision = decide(config, state, StartRequested(at=datetime.now(UTC)), instrument=None)
            saved = await bots.save_bot(tx, state, decision)
        self._accept([saved], [state])

    async def _stop_all(self, _rng: random.Random) -> None:
        now = StopRequested(at=datetime.now(UTC))
        plans = [(s, decide(c, s, now, instrument=None)) for c, s in await self._load(self._bots)]
        given = [
            Transition(before=state, after=plan.state, cause=plan.cause, kind=plan.kind)
            for state, plan in plans
            if plan.state != state
        ]
        async with self._database.begin() as tx:
            await share_reset_lock(tx)
            written = await write_transitions(tx, given)
        self._accept(list(written.values()), [])

    async def _delete(self, rng: random.Random) -> None:
        """Delete a bot, and make one in its place."""
        chosen = rng.choice(self._bots)
        async with self._database.begin() as tx:
            config, state = await bots.lock_bot(tx, self._owner, chosen)
            await bots.delete_bot(tx, state)
        self._bots.remove(chosen)
        self._deleted.add(chosen)
        wish = bots.NewBot(**{name: getattr(config, name) for name in bots.NewBot.__struct_fields__})
        async with self._database.begin() as tx:
            made = await bots.create_bot(tx, self._owner, wish)
        self._bots.append(made.config.id)
        self._made.add(made.config.id)

    async def _brake(self, rng: random.Random) -> None:
        """Put the brake on and take it off again; mostly it is off."""
        if rng.randrange(5):
            return
        async with self._database.begin() as tx:
            await halts.set_halt(tx, self._owner, set_by=self._owner)
        async with self._database.begin() as tx:
            await halts.clear_halt(tx, self._owner)

    def _taking(self, me: int) -> _Write:
        """Take whatever the other has: it holds no lock, so it counts as dead."""

        async def take(rng: random.Random) -> None:
            wanted = rng.sample(range(SLOT_COUNT), SLOT_COUNT // 2)
            async with self._database.begin() as tx:
                await slots.take_slots(tx, me, wanted)
            async with self._database.begin() as tx:
                await slots.claim_new_bots(tx, me)

        return take

    # What they share.

    async def _load(self, bot_ids: Sequence[BotId]) -> _Loaded:
        async with self._database.read() as tx:
            return await slots.load_bots(tx, bot_ids=bot_ids)

    async def _write(self, changes: Sequence[Change]) -> None:
        outcomes = await commit(self._database, changes, tag=_TAG, stamp=lambda _venue: datetime.now(UTC))
        for outcome in outcomes:
            self.done[f"bots, {type(outcome).__name__.lower()}"] += 1
            if isinstance(outcome, Committed):
                self._accept([outcome.state], [])
            elif isinstance(outcome, Failed):
                self.faults.append(f"a commit failed: {outcome.message}")

    def _accept(self, after: Sequence[BotState], before: Sequence[BotState]) -> None:
        """Remember what was accepted; where nothing changed, nothing was written."""
        self._accepted |= {(it.bot_id, it.version) for it in after if it not in before}

    # What the books say.

    async def _audit(self, days: int) -> None:
        async with self._database.read() as tx:
            told = {(row.bot_id, row.version) for row in await tx.execute(_EVENTS)}
            rows = {row.bot_id: row for row in await tx.execute(_STANDS)}
        writes = Counter(bot_id for bot_id, _ in self._accepted)
        if lost := self._accepted - told:
            self.faults.append(f"{len(lost)} accepted versions are not in the trail, like {min(lost)}")
        if rows.keys() != set(self._bots):
            self.faults.append("other bots are gone than were deleted")
        for bot_id, row in rows.items():
            accepted = writes[bot_id]
            if not row.version - 1 == accepted + row.resets == row.events:
                self.faults.append(f"bot {bot_id}: {accepted} writes, {row.resets} resets, {row}")
            if not row.resets == row.days_reset == (0 if bot_id in self._made else days):
                self.faults.append(f"bot {bot_id}: {row.resets} resets of {row.days_reset} days")
            if (row.daily_trades_count, row.daily_pnl) != (row.counted, row.earned):
                self.faults.append(f"bot {bot_id}: its counters are not what the books say: {row}")
            if row.term not in (row.slot_term, 0 if bot_id in self._made else None):
                self.faults.append(f"bot {bot_id} has another term than its slot")

    async def _look_closely(self) -> None:
        """Have deadlocks found at once: a lock time-out would come first and hide them."""
        async with self._database.begin() as tx:
            name = (await tx.execute(text("SELECT quote_ident(current_database())"))).scalar_one()
            await tx.execute(text(f"ALTER DATABASE {name} SET deadlock_timeout = '20ms'"))

    async def _deadlocks(self) -> int:
        """Sessions tell what they have seen when they end, at the latest."""
        await self._database.close()
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(await self._scalar(query))

    async def _scalar(self, query: str) -> Any:
        async with self._database.read() as tx:
            return (await tx.execute(text(query))).scalar_one()


def _change(config: BotConfig, after: BotState, before: BotState) -> Change:
    decision = Decision(state=after, cause=Cause.STRATEGY, kind="bot.evaluated")
    return Change(config=config, before=before, decision=decision)


def _ordering(config: BotConfig, state: BotState) -> Change:
    """Return a change that intends the bot's next order."""
    number = state.orders_made + 1
    intent = OrderIntent(
        number=number,
        side=Side.BUY,
        reason=Reason.SIGNAL,
        quantity_base=None,
        quantity_quote=Decimal(50),
        decided_price_quote=Decimal(100),
    )
    after = replace(state, open_order_number=number, orders_made=number)
    decision = Decision(state=after, cause=Cause.STRATEGY, kind="order.intended", intent=intent)
    return Change(config=config, before=state, decision=decision)


def _booking(config: BotConfig, state: BotState, order: Order, day: date, trade_id: int) -> Change:
    """Return a change that books the order as executed on the day, and earns one by it."""
    price, size, at = Decimal(100), Decimal("0.5"), datetime.combine(day, time(12), UTC)
    fill = Fill(
        venue_trade_id=trade_id,
        price_quote=price,
        quantity_base=size,
        quantity_quote=price * size,
        commission=Decimal(0),
        commission_asset="USDT",
        commission_quote=Decimal(0),
        executed_at=at,
    )
    trade = Trade(
        order_number=order.number,
        side=order.side,
        reason=order.reason,
        price_quote=price,
        quantity_base=size,
        quantity_quote=price * size,
        fee_quote=Decimal(0),
        realised_pnl_quote=Decimal(1),
        executed_at=at,
    )
    counts = int(day == state.trading_day)
    after = replace(
        state,
        open_order_number=None,
        daily_trades_count=state.daily_trades_count + counts,
        daily_pnl=state.daily_pnl + counts,
    )
    outcome = Executed(venue_order_id=trade_id, status=OrderStatus.FILLED, fills=(fill,))
    return Change(
        config=config,
        before=state,
        decision=Decision(state=after, cause=Cause.STRATEGY, kind="trade.booked", trade=trade),
        settles=Settlement(order=order, outcome=outcome),
    )


#: What the trail tells beyond a bot's creation.
_EVENTS = text("SELECT bot_id, version FROM bot_events WHERE version > 1")
_STANDS = text("""
    SELECT s.bot_id, s.version, s.term, l.term AS slot_term, s.daily_trades_count, s.daily_pnl,
           e.events, e.resets, e.days_reset, t.trades + a.trades AS counted, t.pnl AS earned
    FROM bot_states s JOIN slots l ON l.slot = s.slot
    CROSS JOIN LATERAL (
        SELECT count(*) AS events, count(*) FILTER (WHERE cause = 'reset') AS resets,
               count(DISTINCT changes -> 'trading_day' ->> 1) FILTER (WHERE cause = 'reset') AS days_reset
        FROM bot_events WHERE bot_id = s.bot_id AND version > 1
    ) e
    CROSS JOIN LATERAL (
        SELECT count(*) AS trades, coalesce(sum(realised_pnl_quote), 0) AS pnl
        FROM trades WHERE bot_id = s.bot_id AND trading_day = s.trading_day
    ) t
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(after - before) FILTER (WHERE field = 'daily_trades_count'), 0) AS trades
        FROM adjustments WHERE bot_id = s.bot_id AND trading_day = s.trading_day
    ) a
""")
