"""Only what the venue executed is booked, fees and all, once and on the right day."""

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from botwarden.trading.bot import BotState, Cause, HaltedBy, Status
from botwarden.trading.machine import OutcomeArrived, decide
from botwarden.trading.orders import (
    Absent,
    Executed,
    NeverSent,
    OrderStatus,
    Outcome,
    Reason,
    Rejected,
    Side,
    Unexplained,
)
from tests.trading.examples import (
    INSTRUMENT,
    NOW,
    executed,
    halted,
    holding,
    make_config,
    make_fill,
    make_order,
    running,
    settle,
    stopped,
)

BUY = make_order(1, Side.BUY)
SELL = make_order(2, Side.SELL)


def test_a_filled_entry_becomes_a_position() -> None:
    """Size and cost are the fills', the entry price their average, and the thresholds follow from it."""
    decision = settle(running(), BUY, executed(make_fill("100", "0.4"), make_fill("110", "0.6")))
    state, trade = decision.state, decision.trade
    assert (state.in_position, state.current_position_size_coins) == (True, 1)
    assert (state.entry_price, state.position_cost_quote) == (106, 106)
    assert (state.stop_loss_price, state.take_profit_price) == (Decimal("100.70"), Decimal("116.60"))
    assert (state.max_price_since_entry, state.trailing_stop_price) == (106, None)
    assert (state.status, state.open_order_number) == (Status.RUNNING, None)
    assert (decision.kind, decision.cause) == ("trade.booked", Cause.STRATEGY)
    assert trade is not None
    assert (trade.quantity_base, trade.quantity_quote, trade.price_quote) == (1, 106, 106)
    assert (trade.realised_pnl_quote, trade.fee_quote, trade.order_number) == (0, 0, 1)
    assert (state.daily_trades_count, state.daily_pnl) == (1, 0)


def test_a_trailing_bot_gets_its_trailing_stop_with_the_entry() -> None:
    """The trailing stop is there from the first moment."""
    config = make_config(trailing_stop_active=True, trailing_stop_perc=Decimal(3))
    state = settle(running(), BUY, executed(make_fill("100", "1")), config=config).state
    assert (state.max_price_since_entry, state.trailing_stop_price) == (100, 97)


def test_a_commission_in_the_coin_shrinks_the_position_and_nothing_else() -> None:
    """Coins taken as fee are not held, and their cost stays in the basis: it is not counted twice."""
    fill = make_fill(
        "100", "1", commission=Decimal("0.001"), commission_asset="BTC", commission_quote=Decimal("0.1")
    )
    decision = settle(running(), BUY, executed(fill))
    assert decision.state.current_position_size_coins == Decimal("0.999")
    assert decision.state.position_cost_quote == 100
    assert decision.trade is not None
    assert (decision.trade.quantity_base, decision.trade.fee_quote) == (1, Decimal("0.1"))


@pytest.mark.parametrize("asset", ["USDT", "BNB"])
def test_a_commission_elsewhere_is_part_of_the_cost(asset: str) -> None:
    """A fee in quote, or in another asset by its value, is paid on top of the coins."""
    fill = make_fill(
        "100", "1", commission=Decimal("0.1"), commission_asset=asset, commission_quote=Decimal("0.1")
    )
    state = settle(running(), BUY, executed(fill)).state
    assert (state.current_position_size_coins, state.position_cost_quote) == (1, Decimal("100.1"))


def test_without_the_venues_rules_the_coin_is_told_by_the_symbol() -> None:
    """A settlement that arrives before the instruments books the same."""
    fill = make_fill(
        "100", "1", commission=Decimal("0.001"), commission_asset="BTC", commission_quote=Decimal("0.1")
    )
    state = settle(running(), BUY, executed(fill), instrument=None).state
    assert (state.current_position_size_coins, state.position_cost_quote) == (Decimal("0.999"), 100)


def test_a_filled_exit_realises_the_profit_with_the_fees_of_both_sides() -> None:
    """Realised is proceeds less the exit's fee less what entry cost, its fee included; the bot is flat."""
    held = holding(position_cost_quote=Decimal("100.1"))
    fill = make_fill("105", "1", commission=Decimal("0.2"), commission_quote=Decimal("0.2"))
    decision = settle(held, SELL, executed(fill))
    assert decision.trade is not None
    assert decision.trade.realised_pnl_quote == Decimal("4.7")
    assert decision.state == running(
        status=Status.WAITING_NO_SIGNAL, orders_made=2, daily_pnl=Decimal("4.7"), daily_trades_count=1
    )


def test_an_expired_exit_keeps_the_rest_at_its_share_of_the_cost() -> None:
    """A thin book sells a part: the rest stays a guarded position."""
    decision = settle(holding(), SELL, executed(make_fill("90", "0.3"), status=OrderStatus.EXPIRED))
    state = decision.state
    assert (state.in_position, state.status) == (True, Status.RUNNING)
    assert (state.current_position_size_coins, state.position_cost_quote) == (Decimal("0.7"), 70)
    assert (state.entry_price, state.stop_loss_price) == (100, 95)
    assert state.daily_pnl == -3


def test_an_expired_entry_holds_what_was_bought() -> None:
    """A thin book buys a part: that part is the position."""
    state = settle(running(), BUY, executed(make_fill("100", "0.25"), status=OrderStatus.EXPIRED)).state
    assert (state.in_position, state.current_position_size_coins) == (True, Decimal("0.25"))


@pytest.mark.parametrize(("state", "order"), [(running(), BUY), (holding(), SELL)], ids=["entry", "exit"])
def test_an_order_that_expired_unfilled_is_no_trade(state: BotState, order: object) -> None:
    """Nothing executed, nothing booked."""
    decision = settle(state, order, executed(status=OrderStatus.EXPIRED))
    assert (decision.trade, decision.state.daily_trades_count) == (None, 0)
    assert (decision.state.in_position, decision.state.open_order_number) == (state.in_position, None)


def test_dust_after_an_exit_is_booked_off() -> None:
    """What is left below one lot does not keep the bot in position; the sale bears its cost."""
    held = holding(current_position_size_coins=Decimal("1.0009"), position_cost_quote=Decimal("100.09"))
    decision = settle(held, SELL, executed(make_fill("100", "1")))
    assert decision.state.in_position is False
    assert decision.state.position_cost_quote == 0
    assert decision.trade is not None
    assert decision.trade.realised_pnl_quote == Decimal("-0.09")
    assert decision.message is not None
    assert "0.0009 BTC" in decision.message


def test_a_rest_below_the_notional_is_dust_as_well() -> None:
    """A rest worth less than the venue lets sell does not keep the bot in position."""
    decision = settle(holding(), SELL, executed(make_fill("90", "0.96"), status=OrderStatus.EXPIRED))
    assert decision.state.in_position is False
    assert decision.trade is not None
    assert decision.trade.realised_pnl_quote == Decimal("86.4") - 100


def test_an_entry_on_top_of_dust_merges_with_it() -> None:
    """Dust that was left as a position is sold together with the next entry: its cost is not lost."""
    tiny = holding(current_position_size_coins=Decimal("0.01"), position_cost_quote=Decimal(1))
    state = settle(tiny, make_order(2, Side.BUY), executed(make_fill("201", "1"))).state
    assert (state.current_position_size_coins, state.position_cost_quote) == (Decimal("1.01"), 202)
    assert state.entry_price == 200
    assert state.stop_loss_price == 190


def test_a_commission_in_the_coin_on_a_sale_takes_coins_of_the_position() -> None:
    """Selling BNB and paying in BNB takes more coins than were sold; what the position lacks is charged."""
    fill = make_fill(
        "100", "0.5", commission=Decimal("0.1"), commission_asset="BTC", commission_quote=Decimal(10)
    )
    part = settle(holding(), SELL, executed(fill))
    assert part.state.current_position_size_coins == Decimal("0.4")
    assert part.state.position_cost_quote == 40
    assert part.trade is not None
    assert part.trade.realised_pnl_quote == 50 - 60
    fill = make_fill(
        "100", "1", commission=Decimal("0.1"), commission_asset="BTC", commission_quote=Decimal(10)
    )
    whole = settle(holding(), SELL, executed(fill))
    assert whole.trade is not None
    assert whole.trade.realised_pnl_quote == 100 - 100 - 10


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Rejected(code=-2010, message="Account has insufficient balance"), Status.ERROR_ORDER_REJECTED),
        (NeverSent(message="too late"), Status.RUNNING),
        (Absent(), Status.RUNNING),
    ],
)
@pytest.mark.parametrize(("state", "order"), [(running(), BUY), (holding(), SELL)], ids=["entry", "exit"])
def test_what_was_not_executed_is_never_a_trade(
    state: BotState, order: object, outcome: Outcome, status: Status
) -> None:
    """Refused, unsent and unfound orders leave position and counters as they were."""
    decision = settle(state, order, outcome)
    after = decision.state
    assert (decision.trade, decision.kind) == (None, "order.settled")
    assert (after.status, after.in_position, after.open_order_number) == (status, state.in_position, None)
    assert (after.daily_trades_count, after.daily_pnl) == (0, 0)
    assert after.position_cost_quote == state.position_cost_quote


def test_a_refusal_keeps_the_venues_words() -> None:
    """Code and message are kept, and are gone with the next success."""
    refused = settle(running(), BUY, Rejected(code=-2010, message="no money")).state
    assert refused.last_error_message == "-2010: no money"
    again = settle(refused, make_order(2, Side.BUY), executed(make_fill("100", "1"))).state
    assert (again.status, again.last_error_message) == (Status.RUNNING, None)


@pytest.mark.parametrize(
    "outcome",
    [Unexplained(message="other side"), executed(status=OrderStatus.FILLED)],
    ids=["foreign", "no fills"],
)
def test_an_unexplained_order_halts_the_bot(outcome: Outcome) -> None:
    """What nobody can explain is not traded on: the system halts, the guard goes on."""
    after = settle(holding(), SELL, outcome).state
    assert (after.status, after.halted_by) == (Status.ERROR_ORDER_UNEXPLAINED, HaltedBy.SYSTEM)
    assert (after.in_position, after.open_order_number) == (True, None)
    assert after.last_error_message


@pytest.mark.parametrize(
    "outcome",
    [
        executed(make_fill("100", "1")),
        Rejected(code=-2010, message="no"),
        NeverSent(message="late"),
        Absent(),
        Unexplained(message="?"),
    ],
)
@pytest.mark.parametrize("order", [BUY, SELL], ids=["entry", "exit"])
def test_a_stop_while_the_order_was_in_flight_stays_a_stop(order: object, outcome: Outcome) -> None:
    """Whatever comes of the order, a stopped bot stays stopped by its owner."""
    held = holding() if order is SELL else running()
    state = stopped(
        in_position=held.in_position,
        entry_price=held.entry_price,
        current_position_size_coins=held.current_position_size_coins,
        position_cost_quote=held.position_cost_quote,
    )
    after = settle(state, order, outcome).state
    assert (after.is_active, after.status, after.halted_by) == (False, Status.STOPPED, HaltedBy.OWNER)


def test_a_limit_that_a_settlement_reaches_pauses_in_the_same_decision() -> None:
    """There is no moment between a trade and its limit."""
    config = make_config(max_daily_trades=1)
    after = settle(running(), BUY, executed(make_fill("100", "1")), config=config).state
    assert (after.status, after.halted_by) == (Status.PAUSED_MAX_TRADES, HaltedBy.SYSTEM)
    config = make_config(max_daily_loss_perc=Decimal(1))
    after = settle(holding(), SELL, executed(make_fill("90", "1")), config=config).state
    assert (after.status, after.in_position) == (Status.PAUSED_MAX_LOSS, False)


@pytest.mark.parametrize(("days", "counted"), [(-1, 0), (0, 1), (1, 0)])
def test_a_trade_counts_on_its_own_day_only(days: int, counted: int) -> None:
    """A trade of yesterday is not today's, and one of tomorrow is counted by tomorrow's turn."""
    fill = make_fill("105", "1", executed_at=NOW + timedelta(days=days))
    decision = settle(holding(), SELL, executed(fill))
    assert decision.trade is not None
    assert decision.state.daily_trades_count == counted
    assert decision.state.daily_pnl == 5 * counted


def test_the_last_execution_decides_the_day() -> None:
    """An order that fills over midnight is one trade of the day on which it ended."""
    early = make_fill("105", "0.5", executed_at=NOW)
    late = make_fill("105", "0.5", executed_at=NOW + timedelta(days=1))
    decision = settle(holding(), SELL, executed(late, early))
    assert decision.trade is not None
    assert decision.trade.executed_at == late.executed_at
    assert decision.state.daily_trades_count == 0


@pytest.mark.parametrize("opened", [None, 3])
def test_an_outcome_of_another_order_changes_nothing(opened: int | None) -> None:
    """Only the open order is settled, and only once."""
    state = holding(open_order_number=opened, orders_made=3)
    event = OutcomeArrived(order=SELL, outcome=executed(make_fill("105", "1")), at=NOW)
    decision = decide(make_config(), state, event, instrument=INSTRUMENT)
    assert (decision.state, decision.trade) == (state, None)


@pytest.mark.parametrize("active", [True, False])
def test_a_carried_out_close_stops_the_bot(active: bool) -> None:
    """After the sale of a close the bot is flat and stopped by its owner, its request and errors gone."""
    closing = holding(is_active=active, close_requested_at=NOW, last_error_message="-2010: no")
    order = make_order(2, Side.SELL, Reason.CLOSE_REQUESTED)
    decision = settle(closing, order, executed(make_fill("90", "1")))
    after = decision.state
    assert (after.is_active, after.status, after.halted_by) == (False, Status.STOPPED, HaltedBy.OWNER)
    assert (after.in_position, after.close_requested_at, after.last_error_message) == (False, None, None)
    assert decision.cause is Cause.OWNER


def test_a_close_that_was_not_carried_out_goes_on() -> None:
    """Refused, unsent or half done: the request stays until the position is gone."""
    closing = holding(close_requested_at=NOW)
    order = make_order(2, Side.SELL, Reason.CLOSE_REQUESTED)
    for outcome in (
        Rejected(code=-1013, message="Market is closed."),
        NeverSent(message="late"),
        executed(make_fill("90", "0.5"), status=OrderStatus.EXPIRED),
    ):
        assert settle(closing, order, outcome).state.close_requested_at == NOW


@pytest.mark.parametrize("state", [running(), stopped()])
def test_a_close_during_an_entry_sells_what_it_brings(state: BotState) -> None:
    """The request stays with the position that comes of the order in flight."""
    closing = replace(state, close_requested_at=NOW)
    after = settle(closing, BUY, executed(make_fill("100", "1"))).state
    assert (after.in_position, after.close_requested_at, after.is_active) == (True, NOW, state.is_active)


@pytest.mark.parametrize(
    "outcome",
    [
        Rejected(code=-2010, message="Account has insufficient balance."),
        NeverSent(message="late"),
        Absent(),
        Executed(venue_order_id=1, status=OrderStatus.EXPIRED, fills=()),
        Unexplained(message="not ours"),
    ],
)
def test_a_close_during_an_entry_that_brings_nothing_is_done(outcome: Outcome) -> None:
    """Nothing is left to sell: the bot stops, and what went wrong is still to be read."""
    after = settle(running(close_requested_at=NOW), BUY, outcome).state
    assert (after.is_active, after.status, after.halted_by) == (False, Status.STOPPED, HaltedBy.OWNER)
    assert after.close_requested_at is None
    told = isinstance(outcome, Rejected | Unexplained)
    assert (after.last_error_message is not None) == told


def test_a_start_after_the_close_was_sent_wins() -> None:
    """Who starts the bot while its closing sale is in flight gets a running, flat bot."""
    started = holding(status=Status.PENDING, close_requested_at=None)
    order = make_order(2, Side.SELL, Reason.CLOSE_REQUESTED)
    after = settle(started, order, executed(make_fill("90", "1"))).state
    assert (after.is_active, after.in_position) == (True, False)


@pytest.mark.parametrize("status", [Status.STOPPED, Status.PENDING])
def test_a_bot_that_waits_for_its_adoption_goes_on_waiting(status: Status) -> None:
    """An order that was in flight over a start or the day's turn does not count as an adoption."""
    after = settle(holding(status=status), SELL, executed(make_fill("90", "1"))).state
    assert (after.status, after.in_position) == (status, False)


def test_settlement_does_not_lift_a_quarantine_nor_hide_a_disturbance() -> None:
    """An order that ends well says nothing about why the bot was halted or what is away."""
    outcome = executed(make_fill("90", "1"))
    crashed = settle(halted(holding(), Status.ERROR_CRASHED), SELL, outcome).state
    assert (crashed.status, crashed.halted_by) == (Status.ERROR_CRASHED, HaltedBy.SYSTEM)
    disturbed = settle(holding(status=Status.ERROR_PRICE), SELL, outcome).state
    assert disturbed.status == Status.ERROR_PRICE
    paused = halted(holding(daily_trades_count=5), Status.PAUSED_MAX_TRADES)
    refused = settle(paused, SELL, Rejected(code=-2010, message="no"), config=make_config(max_daily_trades=5))
    assert (refused.state.status, refused.state.last_error_message) == (Status.PAUSED_MAX_TRADES, "-2010: no")
