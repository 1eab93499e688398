"""Rows that the tests of this room start from, and short ways to change them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from msgspec.structs import replace
from sqlalchemy import text

from botwarden.persistence import api_keys, bots, slots, users
from botwarden.persistence.bots import Bot, NewBot
from botwarden.persistence.commits import Change, CommitOutcome, Committed, Settlement, commit
from botwarden.persistence.database import Database, Transaction
from botwarden.persistence.vault import Vault, keys_from_secret
from botwarden.trading.bot import ApiKeyId, BotState, Cause, UserId, Venue
from botwarden.trading.decisions import Decision
from botwarden.trading.orders import (
    Executed,
    Fill,
    Order,
    OrderIntent,
    OrderStatus,
    Outcome,
    Reason,
    Side,
    Trade,
)

TAG = "abc123"
VAULT = Vault(keys_from_secret("a secret of the tests, long enough"))
VENUE_NOW = datetime(2026, 1, 5, 12, 0, 0, 123987, tzinfo=UTC)


def venue_now(_venue: Venue) -> datetime:
    """Return a fixed venue time with microseconds, which are to be cut."""
    return VENUE_NOW


async def add_user(database: Database, email: str = "owner@example.com") -> UserId:
    """Add an account."""
    async with database.begin() as tx:
        return (await users.create_user(tx, email, "hash")).id


async def add_api_key(database: Database, user_id: UserId, venue: Venue = Venue.PAPER) -> ApiKeyId:
    """Add a key pair of the user."""
    async with database.begin() as tx:
        view = await api_keys.create_api_key(
            tx, VAULT, user_id, label="main", venue=venue, api_key="k" * 20, secret_key="s" * 20
        )
    return view.id


def new_bot(api_key_id: ApiKeyId, **changes: Any) -> NewBot:
    """Return a config without limits."""
    config = NewBot(
        name="example",
        symbol="BTCUSDT",
        strategy="ema",
        strategy_params={"fast": 9},
        timeframe="1m",
        venue=Venue.PAPER,
        api_key_id=api_key_id,
        check_interval_seconds=60,
        initial_capital=Decimal(1000),
        position_size_perc=Decimal(10),
        stop_loss_perc=Decimal(2),
        take_profit_perc=Decimal(4),
    )
    return replace(config, **changes)


async def add_bots(database: Database, count: int = 1, **changes: Any) -> list[Bot]:
    """Add bots of one new owner."""
    owner = await add_user(database)
    key = await add_api_key(database, owner)
    async with database.begin() as tx:
        return [await bots.create_bot(tx, owner, new_bot(key, **changes)) for _ in range(count)]


async def add_bot(database: Database, **changes: Any) -> Bot:
    """Add one bot of a new owner."""
    [bot] = await add_bots(database, 1, **changes)
    return bot


async def add_replica(database: Database, name: str = "one") -> int:
    """Add a replica."""
    async with database.begin() as tx:
        return await slots.register_replica(tx, name)


async def set_state(database: Database, bot: Bot, **columns: Any) -> BotState:
    """Write columns of the state past every rule but the database's own; return the state."""
    setting = ", ".join(f"{name} = :{name}" for name in columns)
    async with database.begin() as tx:
        await tx.execute(
            text(f"UPDATE bot_states SET version = version + 1, {setting} WHERE bot_id = :bot"),  # noqa: S608 - a test's own names
            columns | {"bot": bot.config.id},
        )
    return await read_state(database, bot)


async def read_state(database: Database, bot: Bot) -> BotState:
    """Return the state as it stands."""
    async with database.read() as tx:
        return (await bots.read_bot(tx, bot.config.user_id, bot.config.id)).state


async def scalar(database: Database, sql: str, **values: Any) -> Any:
    """Return one value."""
    async with database.read() as tx:
        return (await tx.execute(text(sql), values)).scalar_one()


async def rows(database: Database, sql: str, **values: Any) -> Sequence[Any]:
    """Return all rows."""
    async with database.read() as tx:
        return (await tx.execute(text(sql), values)).all()


def decision(state: BotState, kind: str = "bot.evaluated", **rest: Any) -> Decision:
    """Return a decision by the strategy."""
    return Decision(state=state, cause=Cause.STRATEGY, kind=kind, **rest)


def change(bot: Bot, state: BotState | None = None, **changes: Any) -> Change:
    """Return a change of some fields of the state; of its error message if none is given."""
    before = state or bot.state
    after = replace(before, **(changes or {"last_error_message": f"after {before.version}"}))
    return Change(config=bot.config, before=before, decision=decision(after))


def buying(bot: Bot, state: BotState | None = None) -> Change:
    """Return a change that intends the bot's next order: to buy for 50."""
    before = state or bot.state
    number = before.orders_made + 1
    intent = OrderIntent(
        number=number,
        side=Side.BUY,
        reason=Reason.SIGNAL,
        quantity_base=None,
        quantity_quote=Decimal(50),
        decided_price_quote=Decimal(100),
    )
    after = replace(before, open_order_number=number, orders_made=number)
    return Change(config=bot.config, before=before, decision=decision(after, "order.intended", intent=intent))


def bought(*, at: datetime | None = None, trade_id: int = 1, venue_order_id: int = 77) -> Executed:
    """Return the outcome of an order that bought half a coin at 100."""
    fill = Fill(
        venue_trade_id=trade_id,
        price_quote=Decimal(100),
        quantity_base=Decimal("0.5"),
        quantity_quote=Decimal(50),
        commission=Decimal("0.05"),
        commission_asset="USDT",
        commission_quote=Decimal("0.05"),
        executed_at=at or datetime.now(UTC),
    )
    return Executed(venue_order_id=venue_order_id, status=OrderStatus.FILLED, fills=(fill,))


def settling(bot: Bot, state: BotState, order: Order, outcome: Outcome, **changes: Any) -> Change:
    """Return a change that settles the order, with a trade if anything was executed."""
    after = replace(state, open_order_number=None, **changes)
    trade = None
    if isinstance(outcome, Executed) and outcome.fills:
        trade = Trade(
            order_number=order.number,
            side=order.side,
            reason=order.reason,
            price_quote=Decimal(100),
            quantity_base=Decimal("0.5"),
            quantity_quote=Decimal(50),
            fee_quote=Decimal("0.05"),
            realised_pnl_quote=changes.get("daily_pnl", Decimal(0)),
            executed_at=outcome.fills[-1].executed_at,
        )
    return Change(
        config=bot.config,
        before=state,
        decision=decision(after, "trade.booked", trade=trade),
        settles=Settlement(order=order, outcome=outcome),
    )


async def commit_all(database: Database, *changes: Change) -> list[CommitOutcome]:
    """Commit together."""
    return await commit(database, changes, tag=TAG, stamp=venue_now)


async def committed(database: Database, one: Change) -> Committed:
    """Commit one change that must succeed."""
    [outcome] = await commit_all(database, one)
    assert isinstance(outcome, Committed), outcome
    return outcome


async def until(true: Callable[[], bool]) -> None:
    """Return when `true()`; within ten seconds."""
    with anyio.fail_after(10):
        while not true():
            await checkpoint()


async def waiting_backend(tx: Transaction) -> int:
    """Return the pid of the session that waits for a lock, as soon as there is one."""
    query = text("""
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()
    """)
    with anyio.fail_after(10):
        while True:
            pid = (await tx.execute(query)).scalars().first()
            if pid is not None:
                return int(pid)


def days_ago(days: int) -> datetime:
    """Return a moment in the past."""
    return datetime.now(UTC) - timedelta(days=days)
