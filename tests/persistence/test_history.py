"""What a bot did, page by page and day by day, for its owner."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from botwarden.persistence import bots, history, progress
from botwarden.trading.bot import UserId
from tests.persistence.examples import (
    add_bot,
    add_bots,
    bought,
    buying,
    committed,
    days_ago,
    decision,
    settling,
)

pytestmark = pytest.mark.anyio


async def trade(database, bot, state, *, at, pnl, trade_id):
    opened = await committed(database, buying(bot, state))
    outcome = bought(at=at, trade_id=trade_id)
    return (
        await committed(database, settling(bot, opened.state, opened.order, outcome, daily_pnl=pnl))
    ).state


async def test_history_comes_newest_first_in_pages(database):
    """Pages of trades, orders and events follow each other without gap or repeat."""
    bot = await add_bot(database)
    state = bot.state
    for trade_id in range(1, 6):
        state = await trade(
            database, bot, state, at=datetime.now(UTC), pnl=Decimal(trade_id), trade_id=trade_id
        )
    who = bot.config.user_id, bot.config.id
    async with database.read() as tx:
        for read, expected in (
            (history.list_trades, 5),
            (history.list_orders, 5),
            (history.list_events, 11),
        ):
            whole = await read(tx, *who)
            assert len(whole) == expected
            assert [record.id for record in whole] == sorted((record.id for record in whole), reverse=True)
            first = await read(tx, *who, limit=2)
            assert [*first, *await read(tx, *who, before_id=first[-1].id)] == whole
            assert await read(tx, UserId(4711), bot.config.id) == []
        orders = await history.list_orders(tx, *who)
        assert [order.number for order in orders] == [5, 4, 3, 2, 1]
        assert {order.status for order in orders} == {"filled"}
        [newest, *_] = await history.list_events(tx, *who)
        assert newest.changes == {"daily_pnl": ["4", "5"]}


async def test_profit_is_summed_by_trading_day(database):
    """Each UTC day has the sum of its trades and adjustments, fees told apart; nobody else's."""
    bot = await add_bot(database)
    yesterday = datetime.combine(days_ago(1).date(), time(23, 59, 59), UTC)
    state = await trade(database, bot, bot.state, at=yesterday, pnl=Decimal("1.5"), trade_id=1)
    state = await trade(
        database, bot, state, at=yesterday + timedelta(seconds=1), pnl=Decimal(-4), trade_id=2
    )
    async with database.begin() as tx:
        _, before = await bots.lock_bot(tx, bot.config.user_id, bot.config.id)
        after = replace(before, daily_pnl=before.daily_pnl + 10)
        await bots.save_bot(tx, before, decision(after, "state.put"), adjustments=True)
    async with database.read() as tx:
        days = await history.pnl_by_day(
            tx, bot.config.user_id, bot.config.id, since=yesterday.date() - timedelta(days=5)
        )
        assert [(day.day, day.realised_quote, day.fee_quote, day.trades) for day in days] == [
            (yesterday.date(), Decimal("1.5"), Decimal("0.05"), 1),
            (yesterday.date() + timedelta(days=1), Decimal(6), Decimal("0.05"), 1),
        ]
        assert await history.pnl_by_day(tx, UserId(4711), bot.config.id, since=yesterday.date()) == []


async def test_progress_moves_on_and_never_back(database):
    """The last evaluation's time goes forward only, without a new version; unknown bots are passed over."""
    first, second = await add_bots(database, 2)
    early, late = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)
    await progress.write_progress(database, {first.config.id: late, second.config.id: early, 4711: late})
    await progress.write_progress(database, {first.config.id: early, second.config.id: late})
    await progress.write_progress(database, {})
    async with database.read() as tx:
        for bot in (first, second):
            read = await bots.read_bot(tx, bot.config.user_id, bot.config.id)
            assert read == bot._replace(last_run_at=late)
