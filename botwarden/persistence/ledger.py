"""Our books, read as a whole: what `verify-ledger` holds against the exchange."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, select, text

from botwarden.persistence.database import Transaction
from botwarden.persistence.order_tables import fills, orders
from botwarden.persistence.tables import api_keys, bot_configs, bot_states
from botwarden.trading.bot import ApiKeyId, BotId, Venue
from botwarden.trading.holdings import Position
from botwarden.trading.ledger import BookedOrder, BotBooks
from botwarden.trading.orders import Fill, OrderStatus, OrderType, Side


class TradedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An API key and a symbol that bots have used."""

    api_key_id: ApiKeyId
    venue: Venue
    symbol: str


async def read_traded_accounts(tx: Transaction) -> list[TradedAccount]:
    """Return every key that is still stored with each symbol that orders or bots of it name."""
    ordered = select(orders.c.api_key_id, orders.c.symbol)
    configured = select(bot_configs.c.api_key_id, bot_configs.c.symbol)
    named = ordered.union(configured).subquery()
    rows = await tx.execute(
        select(api_keys.c.id, api_keys.c.venue, named.c.symbol)
        .join(named, named.c.api_key_id == api_keys.c.id)
        .order_by(api_keys.c.id, named.c.symbol)
    )
    return [
        TradedAccount(api_key_id=ApiKeyId(row.id), venue=Venue(row.venue), symbol=row.symbol) for row in rows
    ]


async def read_positions(tx: Transaction, api_key_id: ApiKeyId) -> Sequence[Position]:
    """Return what the key's bots hold, but for those with an open order: that may have sold it already."""
    rows = await tx.execute(
        select(
            bot_states.c.bot_id,
            bot_states.c.version,
            bot_configs.c.symbol,
            bot_states.c.current_position_size_coins,
        )
        .join(bot_configs, bot_configs.c.id == bot_states.c.bot_id)
        .where(
            bot_configs.c.api_key_id == api_key_id,
            bot_states.c.in_position,
            bot_states.c.open_order_number.is_(None),
        )
        .order_by(bot_states.c.bot_id)
    )
    return [
        Position(bot_id=BotId(bot), version=version, symbol=symbol, held_base=held)
        for bot, version, symbol, held in rows
    ]


async def read_booked_elsewhere(tx: Transaction, account: TradedAccount) -> list[BookedOrder]:
    """Return the orders on the symbol that were made with other keys of the venue, without their fills."""
    found = await tx.execute(
        select(orders).where(
            orders.c.venue == account.venue,
            orders.c.symbol == account.symbol,
            orders.c.api_key_id != account.api_key_id,
        )
    )
    return [_order(row, ()) for row in found]


async def read_booked_orders(tx: Transaction, account: TradedAccount) -> list[BookedOrder]:
    """Return the account's orders on the symbol with their fills, oldest first."""
    found = await tx.execute(
        select(orders)
        .where(orders.c.api_key_id == account.api_key_id, orders.c.symbol == account.symbol)
        .order_by(orders.c.id)
    )
    rows = found.all()
    filled: dict[int, list[Fill]] = defaultdict(list)
    for row in await tx.execute(
        select(fills)
        .join(orders, orders.c.id == fills.c.order_id)
        .where(orders.c.api_key_id == account.api_key_id, orders.c.symbol == account.symbol)
        .order_by(fills.c.venue_trade_id)
    ):
        filled[row.order_id].append(_fill(row))
    return [_order(row, filled[row.id]) for row in rows]


async def read_books(tx: Transaction) -> Sequence[BotBooks]:
    """Return each bot's counters and position beside what its trades, fills and adjustments say."""
    rows = await tx.execute(_BOOKS)
    return [
        BotBooks(
            bot_id=BotId(row.bot_id),
            trading_day=row.trading_day,
            in_position=row.in_position,
            held_base=row.current_position_size_coins,
            daily_pnl=row.daily_pnl,
            daily_trades_count=row.daily_trades_count,
            booked_pnl=row.booked_pnl,
            booked_count=row.booked_count,
            booked_base=row.booked_base,
        )
        for row in rows
    ]


def _order(row: Row[Any], of_order: Sequence[Fill]) -> BookedOrder:
    return BookedOrder(
        bot_id=BotId(row.bot_id),
        number=row.number,
        symbol=row.symbol,
        side=Side(row.side),
        type=OrderType(row.type),
        client_order_id=row.client_order_id,
        status=OrderStatus(row.status),
        venue_order_id=row.venue_order_id,
        executed_base=row.executed_base,
        executed_quote=row.executed_quote,
        fills=tuple(of_order),
    )


def _fill(row: Row[Any]) -> Fill:
    return Fill(
        venue_trade_id=row.venue_trade_id,
        price_quote=row.price_quote,
        quantity_base=row.quantity_base,
        quantity_quote=row.quantity_quote,
        commission=row.commission,
        commission_asset=row.commission_asset,
        commission_quote=row.commission_quote,
        executed_at=row.executed_at,
    )


# What moved a bot's position, in the order of the booking (what was found late has an old number): its
# trades, less fees taken in the coin, and what its owner wrote. A position begins where there was none: with
# a BUY behind a sale, behind a position that was given up or behind nothing, or with a size written over
# zero. A sale may leave dust, which is booked off, so what went before counts no more.
_BOOKS = text("""
    WITH moved AS (
        SELECT t.bot_id, o.settled_at AS at, o.side = 'BUY' AS opens, o.side = 'SELL' AS ends, sum(
            CASE o.side WHEN 'BUY' THEN f.quantity_base ELSE -f.quantity_base END
            - CASE WHEN o.symbol LIKE f.commission_asset || '%' THEN f.commission ELSE 0 END
        ) AS base
        FROM trades t
        JOIN orders o ON o.id = t.order_id
        JOIN fills f ON f.order_id = o.id
        GROUP BY t.bot_id, o.id
        UNION ALL
        SELECT bot_id, created_at, before = 0, after = 0, after - before
        FROM adjustments WHERE field = 'current_position_size_coins'
    ), ordered AS (
        SELECT *, opens AND lag(ends, 1, true) OVER (PARTITION BY bot_id ORDER BY at) AS begins FROM moved
    ), held AS (
        SELECT bot_id, sum(base) AS base
        FROM (
            SELECT bot_id, base, at, max(at) FILTER (WHERE begins) OVER (PARTITION BY bot_id) AS since
            FROM ordered
        ) AS of_bot
        WHERE at >= since
        GROUP BY bot_id
    ), adjusted AS (
        SELECT a.bot_id,
               sum(a.after - a.before) FILTER (WHERE a.field = 'daily_pnl') AS pnl,
               sum(a.after - a.before) FILTER (WHERE a.field = 'daily_trades_count') AS count
        FROM adjustments a JOIN bot_states s ON s.bot_id = a.bot_id AND s.trading_day = a.trading_day
        GROUP BY a.bot_id
    ), traded AS (
        SELECT t.bot_id, sum(t.realised_pnl_quote) AS pnl, count(*) AS count
        FROM trades t JOIN bot_states s ON s.bot_id = t.bot_id AND s.trading_day = t.trading_day
        GROUP BY t.bot_id
    )
    SELECT s.bot_id, s.trading_day, s.in_position, s.current_position_size_coins, s.daily_pnl,
           s.daily_trades_count,
           coalesce(traded.pnl, 0) + coalesce(adjusted.pnl, 0) AS booked_pnl,
           coalesce(traded.count, 0) + coalesce(adjusted.count, 0) AS booked_count,
           coalesce(held.base, 0) AS booked_base
    FROM bot_states s
    LEFT JOIN traded ON traded.bot_id = s.bot_id
    LEFT JOIN held ON held.bot_id = s.bot_id
    LEFT JOIN adjusted ON adjusted.bot_id = s.bot_id
    ORDER BY s.bot_id
""")
