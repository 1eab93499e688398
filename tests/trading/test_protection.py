"""The protective list: when it is placed, when it is taken off, and how its end is booked."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from botwarden.trading.bot import Status
from botwarden.trading.exits import RETRY_AFTER
from botwarden.trading.guard import thresholds
from botwarden.trading.machine import (
    CloseRequested,
    Evaluated,
    Input,
    Signal,
    StopRequested,
)
from botwarden.trading.orders import (
    Absent,
    NeverSent,
    Order,
    OrderType,
    Outcome,
    Reason,
    Rejected,
    Side,
    Unexplained,
    client_order_id,
    stop_loss_id,
    take_profit_id,
)
from botwarden.trading.protection import CANCEL_AGAIN_AFTER, Protection, is_due, protection_of
from tests.trading.examples import (
    BOT,
    INSTRUMENT,
    NOW,
    executed,
    holding,
    make_fill,
    make_order,
    order_of,
)
from tests.trading.protected import CONFIG, HUNDRED, STANDS, due, ended, outcome, price, protected, told

# Placing ----------------------------------------------------------------------------------------------


def test_an_entry_is_followed_by_a_list_of_both_thresholds() -> None:
    """What is held is offered above and below, and rests without holding the bot up."""
    decision = told(holding(), due())
    intent = decision.intent
    assert (intent.type, intent.side, intent.reason) == (OrderType.OCO, Side.SELL, Reason.PROTECTION)
    assert (intent.quantity_base, intent.quantity_quote) == (1, None)
    assert (intent.stop_loss_price, intent.take_profit_price) == (95, 110)
    assert decision.state.open_order_number == 2
    resting, _ = protected()
    assert (resting.resting_list_number, resting.open_order_number) == (2, None)
    assert protection_of(CONFIG, resting) is Protection.RESTING
    assert not is_due(CONFIG, resting, order_of(intent), INSTRUMENT)


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        ({"exchange_protection": False}, {}),
        ({}, {"is_active": False, "status": Status.STOPPED}),
        ({}, {"close_requested_at": NOW}),
        ({}, {"leaving": "signal"}),
        ({}, {"open_order_number": 1}),
        ({}, {"stop_loss_price": None}),
        ({}, {"take_profit_price": None}),
        ({}, {"stop_loss_price": Decimal(0)}),
        ({}, {"stop_loss_price": Decimal(110)}),
        ({}, {"protection_retry_at": NOW + timedelta(seconds=1)}),
        # Worth four and a half at the stop, where five is the least.
        ({}, {"current_position_size_coins": Decimal("0.048")}),
    ],
)
def test_no_list_is_placed(config: dict[str, Any], changes: dict[str, Any]) -> None:
    """Not asked for, not guarded, leaving already, or not what the venue would take."""
    state = holding(**changes)
    decision = told(state, due(), config=replace(CONFIG, **config))
    assert (decision.intent, decision.state) == (None, state)


def test_nothing_is_placed_without_the_venues_rules() -> None:
    """Without an instrument nothing is ever intended."""
    assert told(holding(), due(), instrument=None).intent is None


@pytest.mark.parametrize(
    ("at", "places"), [("95", False), ("95.01", True), ("109.99", True), ("110", False), (None, True)]
)
def test_no_list_is_placed_where_the_guard_is_about_to_sell(at: str | None, places: bool) -> None:
    """At a threshold the venue would refuse the list, and the guard sells anyway."""
    assert (told(holding(), due(price=at)).intent is not None) is places


def test_prices_and_size_are_rounded_like_the_guards() -> None:
    """Ticks never make a leg later than its threshold; the size never exceeds what is held."""
    state = holding(
        stop_loss_price=Decimal("95.001"),
        take_profit_price=Decimal("109.999"),
        current_position_size_coins=Decimal("0.9994"),
    )
    intent = told(state, due()).intent
    prices = (intent.stop_loss_price, intent.take_profit_price)
    assert prices == (Decimal("95.01"), Decimal("109.99"))
    assert intent.quantity_base == Decimal("0.999")


def test_ids_of_a_list_fit_the_venue() -> None:
    """The legs' ids come from the list's, and the longest possible one is short enough."""
    longest = client_order_id("abc123", BOT.__class__(2**63 - 1), 2**31 - 1)
    ids = {longest, take_profit_id(longest), stop_loss_id(longest)}
    assert len(ids) == 3
    assert max(map(len, ids)) <= 36
    assert all(set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for text in ids)


# Refused ----------------------------------------------------------------------------------------------

REFUSED = Rejected(code=-1013, message="Filter failure: MAX_NUM_ALGO_ORDERS")


def test_a_refused_list_is_told_and_tried_again_later() -> None:
    """The state says that the position is unprotected, and why; no tight loop asks the venue again."""
    placed = told(holding(), due())
    refused = told(placed.state, outcome(order_of(placed.intent), REFUSED)).state
    assert protection_of(CONFIG, refused) is Protection.UNPROTECTED
    assert "MAX_NUM_ALGO_ORDERS" in refused.last_error_message
    assert (refused.status, refused.open_order_number) == (Status.RUNNING, None)
    assert told(refused, due(at=NOW + RETRY_AFTER - timedelta(seconds=1))).intent is None
    again = told(refused, due(at=NOW + RETRY_AFTER))
    assert again.intent.type is OrderType.OCO
    rests = told(again.state, outcome(order_of(again.intent), STANDS)).state
    assert (rests.last_error_message, rests.protection_retry_at) == (None, None)


@pytest.mark.parametrize("how", [REFUSED, NeverSent(message="late"), Absent(), Unexplained(message="whose?")])
def test_without_a_list_the_guard_goes_on(how: Outcome) -> None:
    """Whatever became of the list, the stop sells at once."""
    placed = told(holding(), due())
    without = told(placed.state, outcome(order_of(placed.intent), how)).state
    sale = told(without, price("95")).intent
    assert (sale.type, sale.reason, sale.quantity_base) == (OrderType.MARKET, Reason.STOP_LOSS, 1)


def test_a_clock_that_was_set_back_holds_up_no_exit() -> None:
    """A cancel that came to nothing waits a moment; not until a clock shows again what it showed then."""
    placed = told(holding(), due())
    rests = told(placed.state, outcome(order_of(placed.intent), STANDS)).state
    failed = replace(rests, protection_retry_at=NOW + timedelta(seconds=2))
    assert told(failed, price("95")).intent is None
    set_back = replace(rests, protection_retry_at=NOW + timedelta(hours=1))
    assert told(set_back, price("95")).intent.type is OrderType.CANCEL


def test_a_failed_exit_is_not_followed_by_a_list_at_once() -> None:
    """While the guard tries again, no list is placed that it would have to take off first."""
    selling = told(holding(), price("95"))
    failed = told(selling.state, outcome(order_of(selling.intent), NeverSent(message="late"))).state
    assert told(failed, due()).intent is None
    assert told(failed, price("94")).intent.type is OrderType.MARKET
    assert told(failed, due(at=NOW + RETRY_AFTER)).intent.type is OrderType.OCO


# Leaving ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (price("95"), Reason.STOP_LOSS),
        (price("110"), Reason.TAKE_PROFIT),
        (Evaluated(signal=Signal.SELL, price_quote=HUNDRED, at=NOW), Reason.SIGNAL),
    ],
)
def test_an_exit_takes_the_list_off_and_then_sells_what_is_left(event: Input, reason: Reason) -> None:
    """Cancel, settled, sale: never is anything sold while the list may still sell."""
    resting, listed = protected()
    leaving = told(resting, event)
    cancel = leaving.intent
    assert (cancel.type, cancel.cancels_number, cancel.quantity_base) == (OrderType.CANCEL, 2, None)
    assert (leaving.state.leaving, leaving.state.resting_list_number) == (reason, 2)
    assert told(leaving.state, price("90")).intent is None
    off = told(leaving.state, outcome(order_of(cancel), ended())).state
    assert (off.resting_list_number, off.leaving, off.in_position) == (None, reason, True)
    assert thresholds(CONFIG, off).always
    assert not is_due(CONFIG, off, None, INSTRUMENT)
    # Whatever the price is by now.
    sale = told(off, price("101"))
    assert (sale.intent.type, sale.intent.reason, sale.intent.quantity_base) == (OrderType.MARKET, reason, 1)
    assert sale.state.leaving == (reason if reason is Reason.SIGNAL else None)
    assert listed.number == 2


def test_a_close_request_takes_the_list_off_and_ends_stopped() -> None:
    """Closing is leaving: the list first, then the rest, then the bot is stopped."""
    resting, _ = protected()
    closing = told(resting, CloseRequested(at=NOW)).state
    cancelling = told(closing, price("100"))
    off = told(cancelling.state, outcome(order_of(cancelling.intent), ended())).state
    sale = told(off, price("100"))
    assert sale.intent.reason is Reason.CLOSE_REQUESTED
    sold = executed(make_fill("100", "1"))
    done = told(sale.state, outcome(order_of(sale.intent), sold)).state
    assert (done.is_active, done.in_position, done.close_requested_at) == (False, False, None)


def test_a_leg_that_filled_before_the_cancel_is_all_that_is_sold() -> None:
    """The cancel finds the list executed: that is the exit, and nothing more is sold."""
    resting, _ = protected()
    leaving = told(resting, price("95"))
    found = ended(stop_loss=(make_fill("94.8", "1"),))
    decision = told(leaving.state, outcome(order_of(leaving.intent), found))
    assert (decision.trade.order_number, decision.trade.reason) == (2, Reason.STOP_LOSS)
    state = decision.state
    assert (state.in_position, state.leaving, state.resting_list_number) == (False, None, None)
    assert told(state, price("90")).intent is None


def test_a_part_of_a_leg_is_booked_and_the_rest_is_sold() -> None:
    """A partial fill is a trade; the exit sells what is left of the position."""
    resting, _ = protected()
    leaving = told(resting, Evaluated(signal=Signal.SELL, price_quote=HUNDRED, at=NOW))
    found = ended(take_profit=(make_fill("110", "0.4"),))
    decision = told(leaving.state, outcome(order_of(leaving.intent), found))
    assert (decision.trade.quantity_base, decision.trade.reason) == (Decimal("0.4"), Reason.TAKE_PROFIT)
    assert decision.trade.realised_pnl_quote == Decimal(4)
    assert decision.state.current_position_size_coins == Decimal("0.6")
    sale = told(decision.state, price("109")).intent
    assert (sale.quantity_base, sale.reason) == (Decimal("0.6"), Reason.SIGNAL)


def test_what_a_part_leaves_as_dust_is_booked_off() -> None:
    """The rule for dust is that of every exit."""
    resting, _ = protected()
    decision = told(resting, outcome(make_list(), ended(take_profit=(make_fill("110", "0.999"),))))
    assert not decision.state.in_position
    assert "dust" in decision.message


def make_list(number: int = 2) -> Order:
    return replace(make_order(number, Side.SELL, Reason.PROTECTION), type=OrderType.OCO)


@pytest.mark.parametrize(
    "how", [Rejected(code=-1003, message="too much"), NeverSent(message="late"), Absent()]
)
def test_a_lost_cancel_is_intended_again_and_the_exit_stays_decided(how: Outcome) -> None:
    """Nothing is sold meanwhile, and no tight loop asks the venue again."""
    resting, _ = protected()
    leaving = told(resting, price("95"))
    lost = told(leaving.state, outcome(order_of(leaving.intent), how)).state
    assert (lost.leaving, lost.resting_list_number) == (Reason.STOP_LOSS, 2)
    assert told(lost, price("99")).intent is None
    again = told(lost, price("99", at=NOW + CANCEL_AGAIN_AFTER))
    assert again.intent.type is OrderType.CANCEL
    assert again.state.leaving is Reason.STOP_LOSS


def test_a_list_found_ended_while_its_cancel_is_under_way_is_booked_once() -> None:
    """The look comes first, the cancel's own outcome later: there is one trade."""
    resting, listed = protected()
    leaving = told(resting, price("95"))
    found = ended(stop_loss=(make_fill("94.8", "1"),))
    looked = told(leaving.state, outcome(listed, found))
    assert looked.trade is not None
    assert looked.state.open_order_number == 3
    late = told(looked.state, outcome(order_of(leaving.intent), found))
    assert (late.trade, late.state.open_order_number) == (None, None)


# Found without any word -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leg", "at", "reason", "pnl"),
    [("take_profit", "110", Reason.TAKE_PROFIT, 10), ("stop_loss", "94", Reason.STOP_LOSS, -6)],
)
def test_a_leg_that_filled_in_the_night_is_booked(leg: str, at: str, reason: Reason, pnl: int) -> None:
    """It is a sale like any other: one trade with its reason, counted, limits looked at."""
    resting, listed = protected()
    config = replace(CONFIG, max_daily_trades=1)
    decision = told(resting, outcome(listed, ended(**{leg: (make_fill(at, "1"),)})), config=config)
    assert (decision.kind, decision.trade.reason) == ("trade.booked", reason)
    assert decision.trade.realised_pnl_quote == pnl
    state = decision.state
    assert (state.in_position, state.resting_list_number, state.daily_trades_count) == (False, None, 1)
    assert (state.daily_pnl, state.status) == (pnl, Status.PAUSED_MAX_TRADES)


def test_a_list_that_was_taken_off_by_others_is_placed_again_after_a_pause() -> None:
    """Somebody cancels it at the exchange: the bot insists, but not at once."""
    resting, listed = protected()
    gone = told(resting, outcome(listed, ended())).state
    assert (gone.resting_list_number, gone.in_position) == (None, True)
    assert protection_of(CONFIG, gone) is Protection.UNPROTECTED
    assert told(gone, due()).intent is None
    assert told(gone, due(at=NOW + RETRY_AFTER)).intent.type is OrderType.OCO


def test_a_stopped_bots_leg_is_still_booked() -> None:
    """Stop and fill may cross: the fill is booked, and the bot stays stopped."""
    resting, listed = protected()
    halted = told(resting, StopRequested(at=NOW)).state
    decision = told(halted, outcome(listed, ended(stop_loss=(make_fill("94", "1"),))))
    assert decision.trade is not None
    assert (decision.state.is_active, decision.state.status) == (False, Status.STOPPED)
