"""Orders that are not settled: what a bot's new holder has to ask about before anything else."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import select, text

from botwarden.persistence.database import Transaction
from botwarden.persistence.halts import EVERYONE
from botwarden.persistence.order_tables import orders
from botwarden.trading.bot import BotId, UserId
from botwarden.trading.orders import Order, OrderStatus, OrderType, Reason, Side

_FIELDS = Order.__struct_fields__


async def read_open_orders(tx: Transaction, bot_ids: Collection[BotId]) -> dict[BotId, Order]:
    """Return the open order of each of the bots that has one."""
    rows = await tx.execute(_OPEN, {"bot_ids": sorted(bot_ids)})
    return {row.bot_id: order_of(row) for row in rows}


async def count_entries(tx: Transaction, user_id: UserId) -> int:
    """Return how many entries of the user, or of `EVERYONE`, are not settled."""
    return int((await tx.execute(_ENTRIES, {"user_id": user_id, "everyone": EVERYONE})).scalar_one())


async def read_resting_lists(tx: Transaction, bot_ids: Collection[BotId]) -> dict[BotId, Order]:
    """Return the protective list at the venue of each of the bots that has one."""
    rows = await tx.execute(_RESTING, {"bot_ids": sorted(bot_ids)})
    return {row.bot_id: order_of(row) for row in rows}


async def read_cancelled_lists(tx: Transaction, bot_ids: Collection[BotId]) -> dict[BotId, Order]:
    """Return the list that the open order of each of the bots is to take off; it may have ended already."""
    rows = await tx.execute(_CANCELLED, {"bot_ids": sorted(bot_ids)})
    return {row.bot_id: order_of(row) for row in rows}


def order_of(row: Any) -> Order:
    """Return the order in a row of the table."""
    values = {name: getattr(row, name) for name in _FIELDS}
    return Order(
        **values
        | {
            "side": Side(row.side),
            "reason": Reason(row.reason),
            "status": OrderStatus(row.status),
            "type": OrderType(row.type),
        }
    )


_UNSETTLED = select(*(orders.c[name] for name in _FIELDS)).where(
    text("orders.bot_id = ANY(CAST(:bot_ids AS bigint[]))")
)
# The statuses are written out: only so are their partial indexes used.
_OPEN = _UNSETTLED.where(orders.c.status == text("'open'"))
_RESTING = _UNSETTLED.where(orders.c.status == text("'resting'"))
_CANCEL = orders.alias("cancel")
_CANCELLED = _UNSETTLED.join(
    _CANCEL, (_CANCEL.c.bot_id == orders.c.bot_id) & (_CANCEL.c.cancels_number == orders.c.number)
).where(_CANCEL.c.status == text("'open'"))
_ENTRIES = text(
    "SELECT count(*) FROM orders"
    " WHERE status = 'open' AND side = 'BUY' AND (user_id = :user_id OR :user_id = :everyone)"
)
