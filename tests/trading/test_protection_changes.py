"""What its owner, the day and its settings do to a resting list."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from botwarden.errors import Refused
from botwarden.trading.bot import Status
from botwarden.trading.machine import (
    DayTurned,
    Evaluated,
    Signal,
    StartRequested,
    StatePut,
    StopRequested,
)
from botwarden.trading.orders import (
    Executed,
    OrderStatus,
    OrderType,
    Reason,
)
from botwarden.trading.protection import protection_of
from tests.trading.examples import (
    NOW,
    TOMORROW,
    holding,
    make_config,
    make_fill,
    order_of,
)
from tests.trading.protected import CONFIG, STANDS, due, ended, outcome, price, protected, told


def test_a_stop_withdraws_the_exit_and_the_list_is_taken_off() -> None:
    """After a stop nothing is sold; the position is kept, and the list goes."""
    resting, listed = protected()
    leaving = told(resting, price("95"))
    halted = told(leaving.state, StopRequested(at=NOW)).state
    assert (halted.leaving, halted.resting_list_number) == (None, 2)
    off = told(halted, outcome(order_of(leaving.intent), ended())).state
    assert (off.in_position, off.is_expecting) == (True, False)
    assert told(off, price("90")).intent is None
    idle = told(resting, StopRequested(at=NOW)).state
    cancel = told(idle, due(listed)).intent
    assert (cancel.type, cancel.reason) == (OrderType.CANCEL, Reason.PROTECTION)


def test_a_started_bot_is_protected_again() -> None:
    """What a stop took off, a start places."""
    resting, _ = protected()
    stopped = replace(told(resting, StopRequested(at=NOW)).state, resting_list_number=None)
    assert told(told(stopped, StartRequested(at=NOW)).state, due()).intent.type is OrderType.OCO


def test_the_day_turns_without_touching_the_list() -> None:
    """The reset leaves it; nothing becomes due by it."""
    resting, listed = protected()
    event = DayTurned(day=TOMORROW, daily_pnl=Decimal(0), daily_trades_count=0, reactivate_all=False, at=NOW)
    turned = told(resting, event).state
    assert turned.resting_list_number == 2
    assert told(turned, due(listed)).intent is None


def test_a_moved_trailing_stop_does_not_touch_the_list() -> None:
    """The trailing stop is the bot's own; it leaves by itself when it is met."""
    config = replace(CONFIG, trailing_stop_active=True, trailing_stop_perc=Decimal(2))
    resting, listed = protected()
    raised = told(resting, price("108"), config=config).state
    assert raised.trailing_stop_price > 100
    assert told(raised, due(listed), config=config).intent is None
    assert told(raised, price("105"), config=config).state.leaving is Reason.TRAILING_STOP


def test_written_thresholds_replace_the_list() -> None:
    """The owner moves the stop: the old list is taken off, and one at the new price is placed."""
    resting, listed = protected()
    put = told(resting, StatePut(changes={"stop_loss_price": "97"}, at=NOW)).state
    cancelling = told(put, due(listed))
    assert (cancelling.intent.type, cancelling.state.leaving) == (OrderType.CANCEL, None)
    off = told(cancelling.state, outcome(order_of(cancelling.intent), ended())).state
    placed = told(off, due()).intent
    assert (placed.type, placed.stop_loss_price) == (OrderType.OCO, 97)


def test_the_setting_is_obeyed_with_the_next_look() -> None:
    """Off takes the list off and says nothing of it; on places it."""
    off = make_config()
    resting, listed = protected()
    cancelling = told(resting, due(listed), config=off)
    assert cancelling.intent.type is OrderType.CANCEL
    gone = told(cancelling.state, outcome(order_of(cancelling.intent), ended()), config=off).state
    assert protection_of(off, gone) is None
    assert told(gone, due(), config=off).intent is None
    assert told(gone, due()).intent.type is OrderType.OCO


def test_a_position_is_not_rewritten_while_a_list_rests() -> None:
    """The owner of a stopped bot waits until the list is off."""
    resting, _ = protected()
    halted = told(resting, StopRequested(at=NOW)).state
    with pytest.raises(Refused):
        told(halted, StatePut(changes={"in_position": False}, at=NOW))


def test_nothing_is_bought_while_a_list_rests() -> None:
    """Even when the position is worth too little by now to be sold."""
    resting, _ = protected()
    signal = Evaluated(signal=Signal.BUY, price_quote=Decimal("4.9"), at=NOW)
    config = replace(CONFIG, position_size_fixed=Decimal(10))
    assert told(replace(resting, resting_list_number=None), signal, config=config).intent is not None
    assert told(resting, signal, config=config).intent is None


def test_a_market_order_is_never_settled_by_a_list() -> None:
    """Answers that belong to the other kind halt the bot instead of being booked."""
    sale = told(holding(), price("95"))
    wrong = told(sale.state, outcome(order_of(sale.intent), STANDS)).state
    assert (wrong.status, wrong.in_position) == (Status.ERROR_ORDER_UNEXPLAINED, True)
    placed = told(holding(), due())
    strange = Executed(venue_order_id=1, status=OrderStatus.FILLED, fills=(make_fill("100", "1"),))
    wrong = told(placed.state, outcome(order_of(placed.intent), strange)).state
    assert (wrong.status, wrong.in_position) == (Status.ERROR_ORDER_UNEXPLAINED, True)
