"""What a bot did: its trades, orders and audit trail, newest first, and what they come to by day.

Every query has the owner in its WHERE; somebody else's bot has no history.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, Table, select, text

from botwarden.persistence.database import Transaction
from botwarden.persistence.order_tables import orders, trades
from botwarden.persistence.tables import bot_events
from botwarden.trading.bot import BotId, UserId


class TradeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One executed order; see `trading.orders.Trade`."""

    id: int
    order_id: int
    bot_id: BotId
    symbol: str
    side: str
    reason: str
    price_quote: Decimal
    quantity_base: Decimal
    quantity_quote: Decimal
    fee_quote: Decimal
    realised_pnl_quote: Decimal
    executed_at: datetime
    trading_day: date


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One intent and what became of it; see `trading.orders.Order`."""

    id: int
    bot_id: BotId
    number: int
    venue: str
    symbol: str
    side: str
    type: str
    reason: str
    quantity_base: Decimal | None
    quantity_quote: Decimal | None
    decided_price_quote: Decimal
    #: Of a list alone.
    take_profit_price: Decimal | None
    stop_loss_price: Decimal | None
    #: Of a cancel alone: the number of the list that it is about.
    cancels_number: int | None
    client_order_id: str
    intended_at: datetime
    status: str
    venue_order_id: int | None
    executed_base: Decimal
    executed_quote: Decimal
    error_code: int | None
    error_message: str | None
    created_at: datetime
    settled_at: datetime | None


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the audit trail."""

    id: int
    at: datetime
    bot_id: BotId
    version: int
    cause: str
    kind: str
    #: {"field": [before, after]}
    changes: dict[str, Any]
    message: str | None


class DayResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the trades and adjustments of one UTC day come to."""

    day: date
    #: Quote, fees of entry and exit included, and adjustments.
    realised_quote: Decimal
    fee_quote: Decimal
    trades: int


async def list_trades(
    tx: Transaction, user_id: UserId, bot_id: BotId, *, before_id: int | None = None, limit: int = 100
) -> list[TradeRecord]:
    """Return the bot's trades, newest first, from below `before_id`."""
    query = _page(trades, TradeRecord, user_id, bot_id, before_id=before_id, limit=limit)
    return [TradeRecord(**row._asdict()) for row in await tx.execute(query)]


async def list_orders(
    tx: Transaction, user_id: UserId, bot_id: BotId, *, before_id: int | None = None, limit: int = 100
) -> list[OrderRecord]:
    """Return the bot's orders, newest first, from below `before_id`."""
    query = _page(orders, OrderRecord, user_id, bot_id, before_id=before_id, limit=limit)
    return [OrderRecord(**row._asdict()) for row in await tx.execute(query)]


async def list_events(
    tx: Transaction, user_id: UserId, bot_id: BotId, *, before_id: int | None = None, limit: int = 100
) -> list[EventRecord]:
    """Return the bot's audit trail, newest first, from below `before_id`."""
    query = _page(bot_events, EventRecord, user_id, bot_id, before_id=before_id, limit=limit)
    return [EventRecord(**row._asdict()) for row in await tx.execute(query)]


async def pnl_by_day(tx: Transaction, user_id: UserId, bot_id: BotId, *, since: date) -> list[DayResult]:
    """Return the days from `since` on that have trades or adjustments, oldest first."""
    rows = await tx.execute(_PNL, {"user_id": user_id, "bot_id": bot_id, "since": since})
    return [DayResult(**row._asdict()) for row in rows]


def _page(
    table: Table,
    record: type[msgspec.Struct],
    user_id: UserId,
    bot_id: BotId,
    *,
    before_id: int | None,
    limit: int,
) -> Select[*tuple[Any, ...]]:
    columns: Sequence[ColumnElement[Any]] = [table.c[name] for name in record.__struct_fields__]
    query = select(*columns).where(table.c.bot_id == bot_id, table.c.user_id == user_id)
    if before_id is not None:
        query = query.where(table.c.id < before_id)
    return query.order_by(table.c.id.desc()).limit(limit)


_PNL = text("""
    WITH own AS (SELECT id FROM bot_configs WHERE id = :bot_id AND user_id = :user_id),
    traded AS (
        SELECT t.trading_day AS day, sum(t.realised_pnl_quote) AS realised, sum(t.fee_quote) AS fee,
               count(*) AS n
        FROM trades t JOIN own ON own.id = t.bot_id WHERE t.trading_day >= :since GROUP BY 1
    ), adjusted AS (
        SELECT a.trading_day AS day, sum(a.after - a.before) AS realised
        FROM adjustments a JOIN own ON own.id = a.bot_id
        WHERE a.trading_day >= :since AND a.field = 'daily_pnl' GROUP BY 1
    )
    SELECT day, coalesce(traded.realised, 0) + coalesce(adjusted.realised, 0) AS realised_quote,
           coalesce(traded.fee, 0) AS fee_quote, coalesce(traded.n, 0) AS trades
    FROM traded FULL JOIN adjusted USING (day) ORDER BY day
""")
