"""What benchmarks of the database start from: a server that syncs, an owner, and many bots with a past."""

import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from msgspec.structs import replace
from sqlalchemy import text

from botwarden.persistence import api_keys, bots, users
from botwarden.persistence.bots import NewBot
from botwarden.persistence.commits import Change, CommitOutcome, commit
from botwarden.persistence.database import Database
from botwarden.persistence.embedded import EmbeddedServers
from botwarden.persistence.migrate import upgrade
from botwarden.persistence.vault import Vault, keys_from_secret
from botwarden.trading.bot import BotConfig, BotState, Cause, Venue
from botwarden.trading.decisions import Decision

_VAULT = Vault(keys_from_secret("no secret, but long enough for one"))

_CONFIGS = """
    INSERT INTO bot_configs (
        user_id, name, symbol, strategy, strategy_params, timeframe, venue, api_key_id,
        check_interval_seconds, initial_capital, position_size_perc, stop_loss_perc, take_profit_perc,
        trailing_stop_active, reactivate_daily)
    SELECT user_id, name, symbol, strategy, strategy_params, timeframe, venue, api_key_id,
           check_interval_seconds, initial_capital, position_size_perc, stop_loss_perc, take_profit_perc,
           trailing_stop_active, reactivate_daily
    FROM bot_configs, generate_series(2, :count)
"""
_STATES = """
    INSERT INTO bot_states (bot_id, user_id, slot, trading_day)
    SELECT id, user_id, id % 1024, (now() AT TIME ZONE 'utc')::date FROM bot_configs
    ON CONFLICT DO NOTHING
"""
_PROGRESS = "INSERT INTO bot_progress (bot_id) SELECT id FROM bot_configs ON CONFLICT DO NOTHING"
_RUNNING = "UPDATE bot_states SET is_active = true, status = 'running', halted_by = NULL"

#: So many orders of each bot, all filled and booked one a day until yesterday; every tenth has traded today.
_ORDERS = """
    INSERT INTO orders (
        bot_id, number, user_id, api_key_id, venue, symbol, side, reason, quantity_base,
        decided_price_quote, client_order_id, intended_at, status, executed_base, executed_quote, settled_at)
    SELECT c.id, n, c.user_id, c.api_key_id, c.venue, c.symbol, 'BUY', 'signal', 1, 100,
           'bw-past-' || c.id || '-' || n, now(), 'filled', 1, 100, now()
    FROM bot_configs c, generate_series(1, :each) AS n
"""
_TRADES = """
    INSERT INTO trades (
        order_id, bot_id, user_id, symbol, side, reason, price_quote, quantity_base, quantity_quote,
        fee_quote, realised_pnl_quote, executed_at, trading_day)
    SELECT o.id, o.bot_id, o.user_id, o.symbol, o.side, o.reason, 100, 1, 100, 0, 1,
           at, (at AT TIME ZONE 'utc')::date
    FROM orders o, LATERAL (
        SELECT date_trunc('day', now(), 'utc')
               - make_interval(days => :each - o.number + (o.bot_id % 10 <> 0)::int) AS at
    ) AS past
"""


@asynccontextmanager
async def database(folder: Path, *, pool_size: int = 20) -> AsyncIterator[tuple[Database, str]]:
    """Start a PostgreSQL as `up` has it, with an empty schema; also give the URL for a plain driver."""
    async with EmbeddedServers.start(folder) as servers:
        url = servers.database_url
        await upgrade(url, lambda _step: None)
        door = Database.connect(url, pool_size=pool_size)
        try:
            yield door, url.replace("postgresql+asyncpg", "postgresql")
        finally:
            await door.close()


async def fill(door: Database, count: int, *, trades_each: int = 0) -> None:
    """Add an owner with so many running bots, each with so many trades, one a day."""
    async with door.begin() as tx:
        # It takes longer than a statement of ours may.
        await tx.execute(text("SET LOCAL statement_timeout = 0"))
        owner = (await users.create_user(tx, "owner@example.com", "no login")).id
        key = await api_keys.create_api_key(
            tx, _VAULT, owner, label="main", venue=Venue.PAPER, api_key="k" * 32, secret_key="s" * 32
        )
        await bots.create_bot(tx, owner, wish("bot", key.id))
        await tx.execute(text(_CONFIGS), {"count": count})
        for statement in (_STATES, _PROGRESS, _RUNNING):
            await tx.execute(text(statement))
        if trades_each:
            await tx.execute(text(_ORDERS), {"each": trades_each})
            await tx.execute(text(_TRADES), {"each": trades_each})
    async with door.read() as tx:
        await tx.execute(text("VACUUM ANALYZE"))


def wish(name: str, api_key_id: Any, **more: Any) -> NewBot:
    """Return the config of a bot."""
    config = NewBot(
        name=name,
        symbol="BTCUSDT",
        strategy="ema",
        strategy_params={"fast": 9, "slow": 21},
        timeframe="1m",
        venue=Venue.PAPER,
        api_key_id=api_key_id,
        check_interval_seconds=1,
        initial_capital=Decimal(1000),
        position_size_perc=Decimal(10),
        stop_loss_perc=Decimal(2),
        take_profit_perc=Decimal(4),
    )
    return replace(config, **more)


async def commit_all(door: Database, loaded: Sequence[tuple[BotConfig, BotState]]) -> list[CommitOutcome]:
    """Commit a change of each bot, together."""
    changes = [
        Change(
            config=config,
            before=state,
            decision=Decision(
                state=replace(state, last_error_message=f"after {state.version}"),
                cause=Cause.STRATEGY,
                kind="bot.evaluated",
            ),
        )
        for config, state in loaded
    ]
    return await commit(door, changes, tag="abc123", stamp=lambda _venue: datetime.now(UTC))


async def today(door: Database) -> date:
    """Return the date that it is by the database's clock."""
    async with door.read() as tx:
        day: date = (await tx.execute(text("SELECT (now() AT TIME ZONE 'utc')::date"))).scalar_one()
    return day


async def deadlocks(url: str) -> int:
    """Return how many the server has counted in this database so far."""
    link = await asyncpg.connect(url)
    try:
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(await link.fetchval(query))
    finally:
        await link.close()


def told(times_s: Sequence[float]) -> str:
    """Return median and longest, in milliseconds."""
    return f"median {statistics.median(times_s) * 1000:.0f} ms, longest {max(times_s) * 1000:.0f} ms"


def run(measure: Callable[[Path], Awaitable[None]]) -> None:
    """Measure in a folder of its own, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bw-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        uvloop.run(measure(Path(folder)))  # type: ignore[arg-type]
