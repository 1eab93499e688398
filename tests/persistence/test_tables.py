"""Rows that must not exist are refused by the database itself, whatever the program does."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from tests.persistence.examples import add_bot, add_bots, bought, buying, committed, scalar, settling

pytestmark = pytest.mark.anyio


async def refused(database, sql: str, **values: object) -> str:
    """Run a statement that must break a constraint; return the constraint's name."""
    with pytest.raises(IntegrityError) as caught:
        async with database.begin() as tx:
            await tx.execute(text(sql), values)
    return caught.value.orig.__cause__.constraint_name


@pytest.mark.parametrize(
    ("setting", "constraint"),
    [
        ("in_position = true", "ck_bot_states_position_whole"),
        ("daily_pnl = 'NaN'", "ck_bot_states_daily_pnl_finite"),
        ("daily_pnl = '-Infinity'", "ck_bot_states_daily_pnl_finite"),
        ("current_position_size_coins = -1", "ck_bot_states_current_position_size_coins_not_negative"),
        ("stop_loss_price = 'NaN'", "ck_bot_states_stop_loss_price_not_negative"),
        ("open_order_number = 1", "ck_bot_states_open_order_made"),
        ("daily_trades_count = -1", "ck_bot_states_trades_count_range"),
        ("slot = slot + 1", "ck_bot_states_slot_of_id"),
        ("halted_by = 'nobody'", "ck_bot_states_halted_by_known"),
    ],
)
async def test_no_state_contradicts_itself(database, setting, constraint):
    """Amounts are finite, a position has size and price, counters count upwards."""
    await add_bot(database)
    assert await refused(database, f"UPDATE bot_states SET {setting}") == constraint  # noqa: S608 - a test's own names


@pytest.mark.parametrize(
    ("setting", "constraint"),
    [
        ("position_size_fixed = 1", "ck_bot_configs_one_size"),
        ("position_size_perc = NULL", "ck_bot_configs_one_size"),
        ("position_size_perc = 101", "ck_bot_configs_size_perc_range"),
        ("stop_loss_perc = 100", "ck_bot_configs_stop_loss_range"),
        ("take_profit_perc = 0", "ck_bot_configs_take_profit_range"),
        ("trailing_stop_active = true", "ck_bot_configs_trailing_has_perc"),
        ("initial_capital = 'Infinity'", "ck_bot_configs_initial_capital_positive"),
        ("check_interval_seconds = 0", "ck_bot_configs_interval_range"),
        ("name = ''", "ck_bot_configs_name_length"),
        ("venue = 'elsewhere'", "ck_bot_configs_venue_known"),
        ("user_id = 4711", "fk_bot_configs_own_api_key"),
    ],
)
async def test_no_config_breaks_a_rule(database, setting, constraint):
    """The contract's bounds hold in the database too."""
    await add_bot(database)
    found = await refused(database, f"UPDATE bot_configs SET {setting}")  # noqa: S608 - a test's own names
    assert found == constraint or (setting.startswith("user_id") and found.startswith("fk_"))


async def test_an_order_is_booked_once(database):
    """A second trade of an order, and a second fill of the same execution, are impossible."""
    bot = await add_bot(database)
    opened = await committed(database, buying(bot))
    await committed(database, settling(bot, opened.state, opened.order, bought()))
    columns = (
        "order_id, bot_id, user_id, symbol, side, reason, price_quote, quantity_base, quantity_quote,"
        " fee_quote, realised_pnl_quote, executed_at, trading_day"
    )
    assert await refused(database, f"INSERT INTO trades ({columns}) SELECT {columns} FROM trades") == (  # noqa: S608 - a test's own names
        "uq_trades_order_id"
    )
    assert await refused(database, "INSERT INTO fills SELECT * FROM fills") == "pk_fills"
    wrong_day = "UPDATE trades SET trading_day = trading_day - 1"
    assert await refused(database, wrong_day) == "ck_trades_day_of_execution"
    assert await refused(database, "DELETE FROM orders") in ("fk_trades_order_id", "fk_fills_order_id")


async def test_nobody_can_take_another_bots_order_id(database):
    """Peer defect 16: ids at the venue and of its trades may repeat between bots; ours can never collide."""
    first, second = await add_bots(database, 2)
    for bot in (first, second):
        opened = await committed(database, buying(bot))
        await committed(database, settling(bot, opened.state, opened.order, bought(venue_order_id=77)))
    assert await scalar(database, "SELECT count(*) FROM trades") == 2
    assert await scalar(database, "SELECT count(DISTINCT client_order_id) FROM orders") == 2


async def test_a_final_order_has_a_time_and_an_open_one_none(database):
    """An order is open exactly as long as it is not settled."""
    bot = await add_bot(database)
    await committed(database, buying(bot))
    assert await refused(database, "UPDATE orders SET status = 'absent'") == "ck_orders_settled_has_time"
    assert await refused(database, "UPDATE orders SET settled_at = now()") == "ck_orders_settled_has_time"
    filled = "UPDATE orders SET status = 'filled', settled_at = now()"
    assert await refused(database, filled) == "ck_orders_filled_has_size"
