"""Order lists and cancels in the books: one transaction each, and rows that cannot be wrong."""

from decimal import Decimal
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from msgspec.structs import replace
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from botwarden.errors import Refused
from botwarden.persistence import bots, migrate
from botwarden.persistence.bots import Bot
from botwarden.persistence.commits import Change, Committed, Conflict, Settlement
from botwarden.persistence.database import Database, broken_constraint
from botwarden.persistence.ledger import read_booked_orders, read_books, read_traded_accounts
from botwarden.persistence.open_orders import read_open_orders, read_resting_lists
from botwarden.trading.bot import BotState
from botwarden.trading.ledger import VenueOrder, compare_books, compare_orders
from botwarden.trading.orders import (
    Fill,
    ListEnded,
    Order,
    OrderIntent,
    OrderStatus,
    OrderType,
    Outcome,
    Reason,
    Resting,
    Side,
    Trade,
    stop_loss_id,
    take_profit_id,
)
from tests.persistence.examples import (
    VENUE_NOW,
    add_bot,
    bought,
    buying,
    commit_all,
    committed,
    decision,
    rows,
    scalar,
    settling,
)

pytestmark = pytest.mark.anyio

LIST_ID = 9


async def holding(database: Database) -> tuple[Bot, BotState]:
    """Return a bot that has bought half a coin."""
    bot = await add_bot(database, exchange_protection=True)
    entry = await committed(database, buying(bot))
    position = {"in_position": True, "entry_price": Decimal(100), "position_cost_quote": Decimal("50.05")}
    size = {"current_position_size_coins": Decimal("0.5"), "daily_trades_count": 1}
    outcome = bought(at=VENUE_NOW)
    change = settling(
        bot, entry.state, entry.order, outcome, trading_day=VENUE_NOW.date(), **position, **size
    )
    return bot, (await committed(database, change)).state


def intending(bot: Bot, state: BotState, type_: OrderType) -> Change:
    number = state.orders_made + 1
    is_list = type_ is OrderType.OCO
    intent = OrderIntent(
        number=number,
        type=type_,
        side=Side.SELL,
        reason=Reason.PROTECTION,
        quantity_base=Decimal("0.5") if is_list else None,
        quantity_quote=None,
        decided_price_quote=Decimal(100),
        take_profit_price=Decimal(110) if is_list else None,
        stop_loss_price=Decimal(95) if is_list else None,
        cancels_number=None if is_list else state.resting_list_number,
    )
    after = replace(state, open_order_number=number, orders_made=number)
    return Change(config=bot.config, before=state, decision=decision(after, "order.intended", intent=intent))


def ending(
    bot: Bot, state: BotState, order: Order, outcome: Outcome, trade: Trade | None = None, **changes: Any
) -> Change:
    made = decision(replace(state, **changes), "order.settled", trade=trade)
    settles = Settlement(order=order, outcome=outcome)
    return Change(config=bot.config, before=state, decision=made, settles=settles)


async def protected(database: Database) -> tuple[Bot, BotState, Order]:
    """Return a bot whose list rests."""
    bot, state = await holding(database)
    placed = await committed(database, intending(bot, state, OrderType.OCO))
    rests = {"open_order_number": None, "resting_list_number": placed.order.number}
    change = ending(bot, placed.state, placed.order, Resting(venue_list_id=LIST_ID), **rests)
    return bot, (await committed(database, change)).state, placed.order


SOLD = Fill(
    venue_trade_id=5,
    price_quote=Decimal(95),
    quantity_base=Decimal("0.5"),
    quantity_quote=Decimal("47.5"),
    commission=Decimal(0),
    commission_asset="USDT",
    commission_quote=Decimal(0),
    executed_at=VENUE_NOW,
)
STOPPED_OUT = ListEnded(venue_list_id=LIST_ID, status=OrderStatus.FILLED, take_profit=(), stop_loss=(SOLD,))
NOTHING_SOLD = ListEnded(venue_list_id=LIST_ID, status=OrderStatus.CANCELLED, take_profit=(), stop_loss=())
FLAT = {
    "in_position": False,
    "entry_price": None,
    "current_position_size_coins": Decimal(0),
    "position_cost_quote": Decimal(0),
    "resting_list_number": None,
    "daily_pnl": Decimal("-2.55"),
    "daily_trades_count": 2,
}


def trade_of(listed: Order) -> Trade:
    return Trade(
        order_number=listed.number,
        side=Side.SELL,
        reason=Reason.STOP_LOSS,
        price_quote=Decimal(95),
        quantity_base=Decimal("0.5"),
        quantity_quote=Decimal("47.5"),
        fee_quote=Decimal(0),
        realised_pnl_quote=Decimal("-2.55"),
        executed_at=VENUE_NOW,
    )


async def test_a_resting_list_is_neither_open_nor_settled(database):
    """Another holder finds it beside whatever is open, with everything that it was placed with."""
    bot, state, listed = await protected(database)
    async with database.read() as tx:
        assert await read_open_orders(tx, [bot.config.id]) == {}
        found = await read_resting_lists(tx, [bot.config.id])
    assert found == {bot.config.id: replace(listed, status=OrderStatus.RESTING)}
    assert (listed.take_profit_price, listed.stop_loss_price) == (110, 95)
    [row] = await rows(database, "SELECT * FROM orders WHERE type = 'OCO'")
    assert (row.status, row.settled_at, row.venue_order_id) == ("resting", None, LIST_ID)
    cancelling = await committed(database, intending(bot, state, OrderType.CANCEL))
    async with database.read() as tx:
        assert await read_open_orders(tx, [bot.config.id]) == {bot.config.id: cancelling.order}
        assert set(await read_resting_lists(tx, [bot.config.id])) == {bot.config.id}


async def test_what_a_look_found_is_booked_once(database):
    """The list's fills and its trade stand in its own row; a second look finds nothing to settle."""
    bot, state, listed = await protected(database)
    change = ending(bot, state, listed, STOPPED_OUT, trade_of(listed), **FLAT)
    done = await committed(database, change)
    [row] = await rows(database, "SELECT * FROM orders WHERE type = 'OCO'")
    assert (row.status, row.executed_base, row.executed_quote) == ("filled", Decimal("0.5"), Decimal("47.5"))
    assert row.settled_at is not None
    assert await scalar(database, "SELECT reason FROM trades WHERE order_id = :id", id=row.id) == "stop_loss"
    assert await scalar(database, "SELECT count(*) FROM fills WHERE order_id = :id", id=row.id) == 1
    again = ending(bot, done.state, listed, STOPPED_OUT, trade_of(listed), **FLAT)
    assert await commit_all(database, again) == [Conflict()]


async def test_a_cancel_settles_itself_and_its_list_together(database):
    """What the list sold is booked to the list; the cancel has executed nothing."""
    bot, state, listed = await protected(database)
    cancelling = await committed(database, intending(bot, state, OrderType.CANCEL))
    change = ending(
        bot,
        cancelling.state,
        cancelling.order,
        STOPPED_OUT,
        trade_of(listed),
        open_order_number=None,
        **FLAT,
    )
    await committed(database, change)
    found = await rows(
        database, "SELECT type, status, executed_base FROM orders WHERE number > 1 ORDER BY number"
    )
    assert [tuple(row) for row in found] == [("OCO", "filled", Decimal("0.5")), ("CANCEL", "cancelled", 0)]
    traded = "SELECT o.type FROM trades t JOIN orders o ON o.id = t.order_id WHERE t.side = 'SELL'"
    assert [row.type for row in await rows(database, traded)] == ["OCO"]


async def test_a_cancel_that_comes_too_late_settles_itself_alone(database):
    """The look was first: the list's row is not written again."""
    bot, state, listed = await protected(database)
    cancelling = await committed(database, intending(bot, state, OrderType.CANCEL))
    looked = await committed(
        database, ending(bot, cancelling.state, listed, STOPPED_OUT, trade_of(listed), **FLAT)
    )
    change = ending(bot, looked.state, cancelling.order, STOPPED_OUT, open_order_number=None)
    await committed(database, change)
    statuses = await rows(database, "SELECT status FROM orders WHERE number > 1 ORDER BY number")
    assert [row.status for row in statuses] == ["filled", "cancelled"]
    assert await scalar(database, "SELECT count(*) FROM trades WHERE side = 'SELL'") == 1


async def test_many_bots_end_their_lists_in_one_batch(database):
    """Each booking goes to its own rows, also where two orders of one bot end together."""
    bot, state, _ = await protected(database)
    cancelling = await committed(database, intending(bot, state, OrderType.CANCEL))
    other = (await bots_of(database, bot, 1))[0]
    second = await committed(database, buying(other))
    outcomes = await commit_all(
        database,
        ending(bot, cancelling.state, cancelling.order, NOTHING_SOLD, open_order_number=None,
               resting_list_number=None),
        settling(other, second.state, second.order, bought()),
    )  # fmt: skip
    assert all(isinstance(outcome, Committed) for outcome in outcomes)
    found = await rows(database, "SELECT bot_id, type, status FROM orders WHERE number > 1 OR bot_id = :other"
                       " ORDER BY bot_id, number", other=other.config.id)  # fmt: skip
    ours, theirs = bot.config.id, other.config.id
    assert [tuple(row) for row in found] == [
        (ours, "OCO", "cancelled"),
        (ours, "CANCEL", "cancelled"),
        (theirs, "MARKET", "filled"),
    ]


async def bots_of(database: Database, bot: Bot, count: int) -> list[Bot]:
    """Add more bots of the same owner."""
    wish = bots.NewBot(**{name: getattr(bot.config, name) for name in bots.NewBot.__struct_fields__})
    async with database.begin() as tx:
        return [await bots.create_bot(tx, bot.config.user_id, wish) for _ in range(count)]


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE orders SET status = 'resting', settled_at = NULL WHERE number = 1", "lists_rest"),
        ("UPDATE orders SET status = 'cancelled' WHERE number = 1", "lists_are_cancelled"),
        ("UPDATE orders SET status = 'expired', settled_at = now() WHERE number = 2", "lists_never_expire"),
        ("UPDATE orders SET settled_at = now() WHERE number = 2", "settled_has_time"),
        ("UPDATE orders SET stop_loss_price = NULL WHERE number = 2", "list_has_prices"),
        ("UPDATE orders SET stop_loss_price = 110 WHERE number = 2", "list_brackets"),
        ("UPDATE orders SET take_profit_price = 'NaN' WHERE number = 2", "take_profit_price_positive"),
        ("UPDATE orders SET side = 'BUY' WHERE number = 2", "lists_sell"),
        ("UPDATE orders SET executed_base = 0.6 WHERE number = 2", "list_sells_its_size"),
        ("UPDATE orders SET quantity_base = NULL WHERE number = 2", "one_size"),
        ("UPDATE orders SET type = 'MARKET' WHERE number = 2", None),
        ("UPDATE orders SET type = 'STOP' WHERE number = 2", None),
        ("UPDATE orders SET quantity_base = 1 WHERE number = 3", "one_size"),
        ("UPDATE orders SET cancels_number = NULL WHERE number = 3", "cancel_names_list"),
        ("UPDATE orders SET cancels_number = 3 WHERE number = 3", "cancel_follows_list"),
        ("UPDATE orders SET cancels_number = 0 WHERE number = 3", "fk_orders_cancelled_list"),
        ("UPDATE orders SET executed_base = 1 WHERE number = 3", "cancel_executes_nothing"),
        ("UPDATE bot_states SET resting_list_number = 99", "resting_list_made"),
        ("UPDATE bot_states SET resting_list_number = open_order_number", "resting_list_not_open"),
        ("UPDATE bot_states SET resting_list_number = NULL, in_position = false, leaving = 'signal'",
         "leaving_position"),
    ],
)  # fmt: skip
async def test_the_database_refuses_rows_that_cannot_be(database, statement, constraint):
    """Whatever a program does: no market order rests, no list lacks a price, no cancel sells."""
    bot, state, _ = await protected(database)
    await committed(database, intending(bot, state, OrderType.CANCEL))
    with pytest.raises((IntegrityError, DBAPIError)) as refused:
        async with database.begin() as tx:
            await tx.execute(text(statement))
    assert constraint is None or constraint in str(broken_constraint(refused.value))


async def test_a_bot_has_one_resting_list_at_most(database):
    """A second one is refused by an index, whatever the program does."""
    bot, _, _ = await protected(database)
    with pytest.raises(IntegrityError) as refused:
        async with database.begin() as tx:
            await tx.execute(
                text("""
                    INSERT INTO orders (bot_id, number, user_id, api_key_id, venue, symbol, side, type,
                        reason,
                        quantity_base, decided_price_quote, take_profit_price, stop_loss_price,
                        client_order_id, intended_at, status)
                    SELECT bot_id, 7, user_id, api_key_id, venue, symbol, side, type, reason,
                        quantity_base, decided_price_quote, take_profit_price, stop_loss_price,
                        'another', intended_at, status
                    FROM orders WHERE bot_id = :bot AND type = 'OCO'
                """),
                {"bot": bot.config.id},
            )
    assert broken_constraint(refused.value) == "uq_orders_resting_bot_id"


async def test_a_bot_is_not_deleted_while_its_list_rests(database):
    """The list has to be off the book first."""
    _, state, _ = await protected(database)
    halted = replace(state, is_active=False)
    with pytest.raises(Refused, match="rest at the exchange"):
        async with database.begin() as tx:
            await bots.delete_bot(tx, halted)


def at_venue(client_id: str, *sold: Fill, number: int = 1) -> VenueOrder:
    return VenueOrder(
        venue_order_id=number,
        client_order_id=client_id,
        symbol="BTCUSDT",
        side="SELL",
        executed_base=sum((fill.quantity_base for fill in sold), Decimal(0)),
        executed_quote=sum((fill.quantity_quote for fill in sold), Decimal(0)),
        fills=sold,
    )


async def test_the_ledger_finds_a_list_under_its_legs(database):
    """Legs map to their list: no difference when one was executed, one when the venue says otherwise."""
    bot, state, listed = await protected(database)
    await committed(database, ending(bot, state, listed, STOPPED_OUT, trade_of(listed), **FLAT))
    async with database.begin() as tx:
        [account] = await read_traded_accounts(tx)
        ours = await read_booked_orders(tx, account)
        assert compare_books(await read_books(tx)).differences == ()
    lists = [order for order in ours if order.type is OrderType.OCO]
    above = at_venue(take_profit_id(listed.client_order_id), number=11)
    below = at_venue(stop_loss_id(listed.client_order_id), SOLD, number=12)
    agreed = compare_orders(lists, [above, below], tag="abc123")
    assert (agreed.compared, agreed.differences, agreed.foreign) == (1, (), ())
    silent = compare_orders(lists, [above, at_venue(below.client_order_id, number=12)], tag="abc123")
    assert any("executed base" in text_ for text_ in silent.differences)
    assert "does not know it" in compare_orders(lists, [], tag="abc123").differences[0]


async def test_a_resting_list_is_in_flight_for_the_ledger(database):
    """What it has sold meanwhile is no difference yet, and its legs are not strangers."""
    _, _, listed = await protected(database)
    async with database.begin() as tx:
        [account] = await read_traded_accounts(tx)
        ours = [order for order in await read_booked_orders(tx, account) if order.type is OrderType.OCO]
    below = at_venue(stop_loss_id(listed.client_order_id), SOLD)
    result = compare_orders(ours, [below], tag="abc123")
    assert (result.differences, result.foreign) == ((), ())
    assert result.in_flight == (listed.client_order_id,)


async def test_a_database_of_the_first_release_is_upgraded(database_url):
    """Bots, orders and settled rows that 0001 knew stand as they were, and may be protected then."""
    database = Database.connect(database_url)
    try:
        async with database.engine.begin() as connection:
            await connection.execute(text("DROP SCHEMA public CASCADE"))
            await connection.execute(text("CREATE SCHEMA public"))
            await connection.run_sync(to_first)
            await connection.execute(text(FIRST_ROWS))
        await migrate.upgrade(database_url, lambda _: None)
        async with database.begin() as tx:
            order = (await tx.execute(text("SELECT * FROM orders"))).one()
            config = (await tx.execute(text("SELECT * FROM bot_configs"))).one()
            state = (await tx.execute(text("SELECT * FROM bot_states"))).one()
        assert (order.type, order.status, order.cancels_number) == ("MARKET", "expired", None)
        assert (config.exchange_protection, state.resting_list_number, state.leaving) == (False, None, None)
        assert await migrate.current(database.engine) == migrate.head()
    finally:
        await database.close()


def to_first(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate._SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")


FIRST_ROWS = """
    WITH owner AS (INSERT INTO users (email, password_hash) VALUES ('a@example.com', 'x') RETURNING id),
    key AS (
        INSERT INTO api_keys (user_id, label, venue, api_key_hint, sealed, sealed_with)
        SELECT id, 'main', 'paper', 'k', 's', 'x' FROM owner RETURNING id, user_id
    ), bot AS (
        INSERT INTO bot_configs (user_id, name, symbol, strategy, timeframe, venue, api_key_id,
            check_interval_seconds, initial_capital, position_size_perc, stop_loss_perc, take_profit_perc,
            trailing_stop_active, reactivate_daily)
        SELECT user_id, 'old', 'BTCUSDT', 'ema', '1m', 'paper', id, 60, 1000, 10, 2, 4, false, true FROM key
        RETURNING id, user_id, api_key_id
    ), state AS (
        INSERT INTO bot_states (bot_id, user_id, slot, trading_day, orders_made)
        SELECT id, user_id, id % 1024, '2026-01-05', 1 FROM bot
    )
    INSERT INTO orders (bot_id, number, user_id, api_key_id, venue, symbol, side, reason, quantity_quote,
        decided_price_quote, client_order_id, intended_at, status, settled_at)
    SELECT id, 1, user_id, api_key_id, 'paper', 'BTCUSDT', 'BUY', 'signal', 50, 100, 'old-1', now(),
        'expired', now() FROM bot
"""
