"""A late find is booked once into whatever the bot has become meanwhile, and its owner is told."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from botwarden.trading.bot import BotState, Cause, Status
from botwarden.trading.late import can_book
from botwarden.trading.machine import Decision, LateFound, decide
from botwarden.trading.orders import (
    Executed,
    ListEnded,
    Order,
    OrderStatus,
    OrderType,
    Reason,
    Resting,
    Side,
)
from tests.trading.examples import (
    INSTRUMENT,
    NOW,
    executed,
    holding,
    make_config,
    make_fill,
    make_order,
    running,
    stopped,
)

ABSENT: dict[str, Any] = {"status": OrderStatus.ABSENT}
BUY = replace(make_order(1, Side.BUY), **ABSENT)
SELL = replace(make_order(2, Side.SELL, Reason.STOP_LOSS), **ABSENT)
LIST = replace(
    SELL,
    type=OrderType.OCO,
    reason=Reason.PROTECTION,
    take_profit_price=Decimal(110),
    stop_loss_price=Decimal(95),
)


def find(
    state: BotState,
    order: Order,
    outcome: Executed | ListEnded | Resting,
    *,
    elsewhere: bool = False,
    **config: Any,
) -> Decision:
    event = LateFound(order=order, outcome=outcome, elsewhere=elsewhere, at=NOW)
    return decide(make_config(**config), state, event, instrument=INSTRUMENT)


@pytest.mark.parametrize("state", [running(), stopped()], ids=["running", "stopped"])
def test_a_flat_bot_holds_what_it_had_bought(state: BotState) -> None:
    """The coins become its position, guarded if it runs and unwatched if it is stopped; the trade counts."""
    decision = find(state, BUY, executed(make_fill("100", "1")))
    after = decision.state
    assert (after.in_position, after.current_position_size_coins, after.position_cost_quote) == (True, 1, 100)
    assert (after.stop_loss_price, after.take_profit_price) == (95, 110)
    assert (after.is_active, after.unwatched_position) == (state.is_active, not state.is_active)
    assert (after.daily_trades_count, after.status == Status.STOPPED) == (1, not state.is_active)
    assert decision.trade is not None
    assert (decision.kind, decision.cause, decision.intent) == ("order.found_late", Cause.SUPERVISOR, None)
    assert after.last_error_message == decision.message
    assert "BUY 1 BTCUSDT" in str(decision.message)


def test_what_was_bought_late_joins_what_is_held() -> None:
    """Cost and size add up, and thresholds are counted from the average of both."""
    state = find(holding(orders_made=2), BUY, executed(make_fill("120", "1"))).state
    assert (state.current_position_size_coins, state.position_cost_quote, state.entry_price) == (2, 220, 110)
    assert (state.stop_loss_price, state.take_profit_price) == (Decimal("104.5"), 121)


def test_what_was_sold_late_ends_the_position() -> None:
    """The sale realises what it would have, for the reason it was intended for."""
    decision = find(holding(orders_made=2), SELL, executed(make_fill("95", "1")))
    assert (decision.state.in_position, decision.state.daily_pnl) == (False, -5)
    assert decision.trade is not None
    assert decision.trade.reason is Reason.STOP_LOSS
    assert "not in the bot's books" not in str(decision.message)


@pytest.mark.parametrize(
    ("held", "cost", "pnl", "beyond"), [("0.4", "40", "-2", "0.6"), ("0", "0", "0", "1")], ids=["part", "all"]
)
def test_a_late_sale_never_sells_below_zero(held: str, cost: str, pnl: str, beyond: str) -> None:
    """Only what the books held realises anything; what was sold beyond is named."""
    state = holding(current_position_size_coins=Decimal(held), position_cost_quote=Decimal(cost))
    if held == "0":
        state = running(orders_made=2)
    decision = find(state, SELL, executed(make_fill("95", "1")))
    after = decision.state
    assert (after.in_position, after.current_position_size_coins, after.position_cost_quote) == (False, 0, 0)
    assert decision.trade is not None
    assert (decision.trade.quantity_base, decision.trade.realised_pnl_quote) == (1, Decimal(pnl))
    assert (after.daily_pnl, after.daily_trades_count) == (Decimal(pnl), 1)
    assert f"{beyond} of it were not in the bot's books" in str(after.last_error_message)


@pytest.mark.parametrize(("held", "pnl"), [("0.5", "-2.52375"), ("0", "0")], ids=["half", "nothing"])
def test_a_late_sale_bears_the_fee_of_what_was_held(held: str, pnl: str) -> None:
    """A fee in the sold coin is the bot's for its own coins, not for those that were never in its books."""
    cost = Decimal(held) * 100
    state = (
        holding(current_position_size_coins=Decimal(held), position_cost_quote=cost) if cost else running()
    )
    fee: dict[str, Any] = {"commission": Decimal("0.0005"), "commission_asset": "BTC"}
    fill = make_fill("95", "1", **fee, commission_quote=Decimal("0.0475"))
    trade = find(state, SELL, executed(fill)).trade
    assert trade is not None
    assert trade.realised_pnl_quote == Decimal(pnl)


def test_a_close_request_is_done_with_by_a_late_sale() -> None:
    """Who waits for a sale that had happened is stopped, and reads why."""
    state = find(holding(close_requested_at=NOW), SELL, executed(make_fill("95", "1"))).state
    assert (state.status, state.close_requested_at, state.is_active) == (Status.STOPPED, None, False)
    assert "found at the exchange later" in str(state.last_error_message)


def test_a_find_of_another_day_counts_for_that_day() -> None:
    """Counters are those of their own day; the trade is dated by its execution."""
    yesterday = make_fill("100", "1", executed_at=NOW - timedelta(days=1))
    decision = find(running(), BUY, executed(yesterday))
    assert (decision.state.in_position, decision.state.daily_trades_count) == (True, 0)
    assert decision.trade is not None
    assert decision.trade.executed_at == yesterday.executed_at


def test_a_late_find_obeys_the_limits() -> None:
    """A find that reaches a limit pauses the bot like any trade."""
    state = find(running(), BUY, executed(make_fill("100", "1")), max_daily_trades=1).state
    assert state.status == Status.PAUSED_MAX_TRADES


@pytest.mark.parametrize("outcome", [
    executed(status=OrderStatus.EXPIRED),
    ListEnded(venue_list_id=5, status=OrderStatus.CANCELLED, take_profit=(), stop_loss=()),
])  # fmt: skip
def test_what_ended_with_nothing_executed_changes_nothing(outcome: Executed | ListEnded) -> None:
    """The books get its end, the bot nothing, and nobody is alarmed."""
    state = holding()
    decision = find(state, LIST if isinstance(outcome, ListEnded) else SELL, outcome)
    assert (decision.state, decision.trade) == (state, None)
    assert "nothing executed" in str(decision.message)


@pytest.mark.parametrize(("leg", "reason"), [
    ("take_profit", Reason.TAKE_PROFIT), ("stop_loss", Reason.STOP_LOSS),
])  # fmt: skip
def test_a_list_that_sold_is_booked_by_its_leg(leg: str, reason: Reason) -> None:
    """A list that was given up and has sold is one trade, for the reason of the leg."""
    legs: dict[str, Any] = {"take_profit": (), "stop_loss": (), leg: (make_fill("100", "1"),)}
    decision = find(holding(), LIST, ListEnded(venue_list_id=5, status=OrderStatus.FILLED, **legs))
    assert not decision.state.in_position
    assert decision.trade is not None
    assert decision.trade.reason is reason


@pytest.mark.parametrize("state", [holding(), running(orders_made=2), stopped(orders_made=2)])
def test_a_list_that_stands_rests_again(state: BotState) -> None:
    """Whoever the bot is now, it cares for the list: keeps it, or takes it off."""
    after = find(state, LIST, Resting(venue_list_id=5)).state
    assert after.resting_list_number == LIST.number
    assert "rests there" in str(after.last_error_message)


def test_another_market_is_not_touched() -> None:
    """A find of a market that the bot has left is written down and told, and its position stays as it is."""
    state = holding()
    decision = find(state, BUY, executed(make_fill("100", "1")), elsewhere=True)
    assert replace(decision.state, last_error_message=None) == state
    assert decision.trade is None
    assert "another market or account" in str(decision.state.last_error_message)


@pytest.mark.parametrize(("state", "order", "outcome", "elsewhere"), [
    (running(open_order_number=2, orders_made=2), BUY, executed(make_fill("1", "1")), False),
    (holding(resting_list_number=1), LIST, Resting(venue_list_id=5), False),
    (holding(), LIST, Resting(venue_list_id=5), True),
    (running(), BUY, executed(), False),
], ids=["an order is open", "another list rests", "a list elsewhere", "filled without fills"])  # fmt: skip
def test_a_find_waits(
    state: BotState, order: Order, outcome: Executed | ListEnded | Resting, *, elsewhere: bool
) -> None:
    """What is under way ends first, and what the venue is not clear about is no find."""
    assert not can_book(state, LateFound(order=order, outcome=outcome, elsewhere=elsewhere, at=NOW))
    assert find(state, order, outcome, elsewhere=elsewhere).state == state
