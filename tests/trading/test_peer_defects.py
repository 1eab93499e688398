"""What went wrong in the platform that botwarden replaces, as far as the machine is concerned.

Each test is named after the defect as it was demonstrated there.
"""

from datetime import timedelta
from decimal import Decimal

from botwarden.trading.bot import BotState, HaltedBy, Status
from botwarden.trading.machine import (
    Adopted,
    DayTurned,
    Disturbed,
    Evaluated,
    Input,
    OutcomeArrived,
    PriceMoved,
    Signal,
    StartRequested,
    StopRequested,
    decide,
)
from botwarden.trading.orders import OrderIntent, Rejected, Side
from tests.trading.examples import (
    INSTRUMENT,
    NOW,
    TOMORROW,
    executed,
    holding,
    make_config,
    make_fill,
    make_order,
    order_of,
    running,
    settle,
    stopped,
)

START, STOP, ADOPT = StartRequested(at=NOW), StopRequested(at=NOW), Adopted(at=NOW)
BUY_SIGNAL = Evaluated(signal=Signal.BUY, price_quote=Decimal(100), at=NOW)


def live(state: BotState, *events: Input) -> tuple[BotState, list[OrderIntent]]:
    """Tell the events one after the other; return where the bot stands and what it ordered."""
    intents = []
    for event in events:
        decision = decide(make_config(), state, event, instrument=INSTRUMENT)
        state = decision.state
        if decision.intent is not None:
            intents.append(decision.intent)
    return state, intents


def test_peer_defect_5_start_pressed_five_times_orders_once() -> None:
    """Five starts and one signal are one order, and the later starts change nothing."""
    state, intents = live(stopped(), START, START, START, START, START, ADOPT, BUY_SIGNAL, START, BUY_SIGNAL)
    assert [intent.number for intent in intents] == [1]
    assert state.open_order_number == 1


def test_peer_defect_6_a_standing_buy_signal_orders_once() -> None:
    """Five minutes of BUY are one order, and after its fill one position."""
    state, intents = live(running(), *[BUY_SIGNAL] * 5)
    assert len(intents) == 1
    fill = OutcomeArrived(order=order_of(intents[0]), outcome=executed(make_fill("100", "1")), at=NOW)
    state, more = live(state, fill, *[BUY_SIGNAL] * 5)
    assert (more, state.in_position) == ([], True)


def test_peer_defect_7_a_stop_before_the_evaluation_is_obeyed() -> None:
    """Start, stop, then the signal: nothing is ordered, and the bot is stopped in every field."""
    state, intents = live(stopped(), START, STOP, ADOPT, BUY_SIGNAL)
    assert intents == []
    assert (state.is_active, state.status, state.halted_by) == (False, Status.STOPPED, HaltedBy.OWNER)


def test_peer_defect_8_a_stop_during_the_order_is_not_overwritten() -> None:
    """The fill that comes after the stop is booked, and the bot stays stopped."""
    state, intents = live(running(), BUY_SIGNAL, STOP)
    fill = OutcomeArrived(order=order_of(intents[0]), outcome=executed(make_fill("100", "1")), at=NOW)
    state, _ = live(state, fill)
    assert (state.is_active, state.status) == (False, Status.STOPPED)
    assert (state.in_position, state.unwatched_position) == (True, True)


def test_peer_defect_9_a_refused_order_is_no_trade() -> None:
    """-2010 books nothing, counts nothing, and is shown."""
    decision = settle(
        running(), make_order(1, Side.BUY), Rejected(code=-2010, message="insufficient balance")
    )
    assert decision.trade is None
    assert (decision.state.in_position, decision.state.daily_trades_count) == (False, 0)
    assert decision.state.status == Status.ERROR_ORDER_REJECTED


def test_peer_defect_12_without_prices_nothing_is_ordered() -> None:
    """While the feed is away no signal is acted on, and no price that is none is taken for one."""
    lost = Disturbed(status=Status.ERROR_PRICE, message="klines: 500", at=NOW)
    nothing = Evaluated(signal=Signal.BUY, price_quote=Decimal(0), at=NOW)
    state, intents = live(running(), lost, BUY_SIGNAL, nothing, *[BUY_SIGNAL] * 20)
    assert (intents, state.status) == ([], Status.ERROR_PRICE)
    _, intents = live(holding(), lost, PriceMoved(price_quote=Decimal(0), at=NOW))
    assert intents == []


def test_peer_defect_13_a_refused_exit_books_no_phantom_profit() -> None:
    """BUY at 60,000, SELL signal at 61,000, sale refused: still in position, nothing earned, tried again."""
    config = make_config(take_profit_perc=Decimal(50))
    state = settle(running(), make_order(1, Side.BUY), executed(make_fill("60000", "1")), config=config).state
    signal = Evaluated(signal=Signal.SELL, price_quote=Decimal(61000), at=NOW)
    state, intents = live(state, signal)
    refusal = OutcomeArrived(
        order=order_of(intents[0]), outcome=Rejected(code=-1102, message="aboveType"), at=NOW
    )
    state, _ = live(state, refusal)
    assert (state.in_position, state.daily_pnl, state.daily_trades_count) == (True, 0, 1)
    _, again = live(state, signal)
    assert len(again) == 1


def test_peer_defect_17_the_reset_wakes_nobody_whom_an_owner_stopped() -> None:
    """Midnight leaves stopped and never started bots alone, and a running one runs on."""
    turn = DayTurned(day=TOMORROW, daily_pnl=Decimal(0), daily_trades_count=0, reactivate_all=False, at=NOW)
    never_started, _ = live(stopped(), turn, ADOPT, ADOPT)
    assert (never_started.is_active, never_started.status) == (False, Status.STOPPED)
    was_stopped, _ = live(running(), STOP, turn, ADOPT, ADOPT)
    assert (was_stopped.is_active, was_stopped.halted_by) == (False, HaltedBy.OWNER)
    ran, _ = live(running(), turn, ADOPT, ADOPT)
    assert (ran.is_active, ran.status) == (True, Status.RUNNING)


def test_peer_defect_18_yesterdays_trades_do_not_count_today() -> None:
    """After three trades yesterday and the reset, one trade counts one and the limit of four is far."""
    config = make_config(max_daily_trades=4)
    turn = DayTurned(day=TOMORROW, daily_pnl=Decimal(0), daily_trades_count=0, reactivate_all=False, at=NOW)
    state, _ = live(running(daily_trades_count=3, daily_pnl=Decimal(-3)), turn, ADOPT, ADOPT)
    fill = make_fill("100", "1", executed_at=NOW + timedelta(days=1))
    after = settle(state, make_order(1, Side.BUY), executed(fill), config=config).state
    assert (after.daily_trades_count, after.status, after.halted_by) == (1, Status.RUNNING, None)
