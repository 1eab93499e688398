"""Reading bots with what an actor needs to take them up."""

from collections.abc import Collection, Sequence

import msgspec

from botwarden.persistence.database import Database, Transaction
from botwarden.persistence.open_orders import (
    read_cancelled_lists,
    read_open_orders,
    read_resting_lists,
)
from botwarden.persistence.slots import load_bots
from botwarden.trading.bot import BotConfig, BotId, BotState
from botwarden.trading.orders import Order, OrderType


class BotRow(msgspec.Struct, frozen=True, kw_only=True):
    """A bot as the database has it, at one version."""

    config: BotConfig
    state: BotState
    #: The order whose outcome is not settled yet; present exactly when the state names one.
    open_order: Order | None
    #: The protective list at the venue; present exactly when the state names one.
    resting: Order | None = None
    #: The list that the open order is to take off, whether it still rests or has ended meanwhile.
    leaving: Order | None = None


async def read_rows(
    database: Database, bot_ids: Sequence[BotId], *, holder: int | None = None
) -> list[BotRow]:
    """Return those of the bots that exist, in id order; with a holder only those that it holds.

    Raises `Unavailable`.
    """
    if not bot_ids:
        return []
    async with database.begin() as tx:
        return await _complete(tx, await load_bots(tx, bot_ids=bot_ids, holder=holder))


async def read_rows_of_slots(database: Database, slots: Collection[int], holder: int) -> list[BotRow]:
    """Return the bots of those slots that this replica holds, in id order. Raises `Unavailable`."""
    async with database.begin() as tx:
        return await _complete(tx, await load_bots(tx, slots=slots, holder=holder))


async def _complete(tx: Transaction, bots: Sequence[tuple[BotConfig, BotState]]) -> list[BotRow]:
    waiting = [state.bot_id for _, state in bots if state.open_order_number is not None]
    opened = await read_open_orders(tx, waiting) if waiting else {}
    cancels = [order for order in opened.values() if order.type is OrderType.CANCEL]
    leaving = await read_cancelled_lists(tx, [order.bot_id for order in cancels]) if cancels else {}
    protected = [state.bot_id for _, state in bots if state.resting_list_number is not None]
    resting = await read_resting_lists(tx, protected) if protected else {}
    return [
        BotRow(
            config=config,
            state=state,
            open_order=opened.get(state.bot_id),
            resting=resting.get(state.bot_id),
            leaving=leaving.get(state.bot_id),
        )
        for config, state in bots
    ]
