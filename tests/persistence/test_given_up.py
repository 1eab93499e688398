"""Orders that were given up: who looks for which, and that each is booked late once at most."""

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from botwarden.persistence import slots
from botwarden.persistence.bots import Bot
from botwarden.persistence.commits import Change, Conflict
from botwarden.persistence.database import Database
from botwarden.persistence.given_up import GivenUp, read_given_up
from botwarden.trading.bot import BotState
from botwarden.trading.orders import Absent, NeverSent, Order, OrderStatus, Outcome, Rejected, Unexplained
from tests.persistence.examples import (
    VENUE_NOW,
    add_bot,
    add_replica,
    bought,
    buying,
    commit_all,
    committed,
    read_state,
    rows,
    scalar,
    settling,
)

pytestmark = pytest.mark.anyio

#: What a position that was bought late looks like.
HOLDS: dict[str, Any] = {
    "in_position": True,
    "entry_price": Decimal(100),
    "current_position_size_coins": Decimal("0.5"),
    "position_cost_quote": Decimal("50.05"),
}


async def ended(database: Database, outcome: Outcome) -> tuple[Bot, BotState, Order]:
    """Return a bot whose only order ended like this."""
    bot = await add_bot(database)
    intended = await committed(database, buying(bot))
    assert intended.order is not None
    state = (await committed(database, settling(bot, intended.state, intended.order, outcome))).state
    return bot, state, intended.order


async def taken(database: Database, bot: Bot) -> int:
    """Return a replica that has the bot's slot."""
    me = await add_replica(database)
    async with database.begin() as tx:
        await slots.take_slots(tx, me, {bot.config.id % 1024})
    return me


async def given_up(database: Database, me: int) -> list[GivenUp]:
    async with database.read() as tx:
        return await read_given_up(tx, me)


def late(bot: Bot, state: BotState, order: Order) -> Change:
    """Return a change that books the order after all."""
    change = settling(bot, state, order, bought(at=VENUE_NOW), **HOLDS)
    assert change.settles is not None
    return replace(change, settles=replace(change.settles, late=True))


@pytest.mark.parametrize(("outcome", "looked_for"), [
    (Absent(), True),
    (Unexplained(message="another order has its id"), True),
    (Rejected(code=-2010, message="no"), False),
    (NeverSent(message="too late"), False),
    (replace(bought(), fills=()), True),
    (replace(bought(), fills=(), status=OrderStatus.EXPIRED), False),
], ids=["absent", "unexplained", "rejected", "never sent", "filled without fills", "expired"])  # fmt: skip
async def test_only_what_may_turn_up_is_looked_for(database, outcome, looked_for):
    """A definite end is never doubted; what nobody knew, or the venue was not clear about, is looked for."""
    bot, _, order = await ended(database, outcome)
    me = await taken(database, bot)
    found = await given_up(database, me)
    assert [it.order.client_order_id for it in found] == [order.client_order_id] * looked_for
    if looked_for:
        [one] = found
        assert (one.venue, one.api_key_id) == (bot.config.venue, bot.config.api_key_id)
        assert one.term == (await read_state(database, bot)).term
        assert 0 <= one.age_s < 60


async def test_others_bots_and_old_orders_are_not_looked_for(database):
    """A replica looks for orders of its own bots, for a day."""
    bot, _, _ = await ended(database, Absent())
    me, other = await taken(database, bot), await add_replica(database, "two")
    assert await given_up(database, other) == []
    assert len(await given_up(database, me)) == 1
    async with database.begin() as tx:
        await tx.execute(text("UPDATE orders SET settled_at = settled_at - interval '24 hours'"))
    assert await given_up(database, me) == []


async def test_a_find_is_booked_once(database):
    """The order, its fills, its trade and the state are written together, and never again."""
    bot, state, order = await ended(database, Absent())
    done = await committed(database, late(bot, state, order))
    assert done.state.in_position
    [row] = await rows(database, "SELECT status, venue_order_id, executed_base, error_message FROM orders")
    assert tuple(row) == ("filled", 77, Decimal("0.5"), None)
    [again] = await commit_all(database, late(bot, done.state, order))
    assert isinstance(again, Conflict)
    assert await scalar(database, "SELECT count(*) FROM trades") == 1
    assert await scalar(database, "SELECT count(*) FROM fills") == 1


@pytest.mark.parametrize("outcome", [Rejected(code=-2010, message="no"), NeverSent(message="too late")])
async def test_a_definite_end_is_never_booked_late(database, outcome):
    """What the venue refused, or never got, stays as it ended, whatever a program believes."""
    bot, state, order = await ended(database, outcome)
    [refused] = await commit_all(database, late(bot, state, order))
    assert isinstance(refused, Conflict)
    assert await read_state(database, bot) == state


async def test_an_absent_order_is_booked_only_as_a_late_find(database):
    """An outcome that comes twice does not reopen what was given up."""
    bot, state, order = await ended(database, Absent())
    change = late(bot, state, order)
    assert change.settles is not None
    [usual] = await commit_all(database, replace(change, settles=replace(change.settles, late=False)))
    assert isinstance(usual, Conflict)


async def test_another_term_books_nothing(database):
    """Whoever lost the bot before the find is committed writes nothing."""
    bot, state, order = await ended(database, Absent())
    await taken(database, bot)
    [outcome] = await commit_all(database, late(bot, state, order))
    assert isinstance(outcome, Conflict)
    assert not (await read_state(database, bot)).in_position
