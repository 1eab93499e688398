"""What a strategy's word leads to: limits first, exits before entries, and quiet when nothing changes."""

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from botwarden.trading.bot import BotState, Cause, HaltedBy, Status
from botwarden.trading.guard import thresholds
from botwarden.trading.instruments import Instrument
from botwarden.trading.machine import Decision, Evaluated, PriceMoved, Signal, StopRequested, decide
from botwarden.trading.orders import (
    Absent,
    Executed,
    NeverSent,
    OrderStatus,
    Outcome,
    Reason,
    Rejected,
    Side,
)
from tests.trading.examples import (
    INSTRUMENT,
    NOW,
    executed,
    halted,
    holding,
    make_config,
    make_fill,
    order_of,
    running,
    stopped,
)
from tests.trading.protected import outcome

SOON = timedelta(seconds=2)


def evaluate(
    state: BotState,
    signal: Signal,
    *,
    price: str = "100",
    instrument: Instrument | None = INSTRUMENT,
    **config: object,
) -> Decision:
    event = Evaluated(signal=signal, price_quote=Decimal(price), at=NOW)
    return decide(make_config(**config), state, event, instrument=instrument)


def test_a_buy_signal_enters() -> None:
    """A flat bot buys its size on BUY and remembers the order it waits for."""
    decision = evaluate(running(), Signal.BUY)
    assert decision.intent is not None
    assert (decision.intent.side, decision.intent.reason) == (Side.BUY, Reason.SIGNAL)
    assert (decision.intent.number, decision.intent.quantity_base) == (1, 1)
    assert (decision.state.open_order_number, decision.state.orders_made) == (1, 1)
    assert (decision.cause, decision.kind) == (Cause.STRATEGY, "order.intended")


def test_a_percentage_buys_by_quote() -> None:
    """A size in percent of the capital is an amount of quote to spend."""
    decision = evaluate(running(), Signal.BUY, position_size_fixed=None, position_size_perc=Decimal(25))
    assert decision.intent is not None
    assert (decision.intent.quantity_base, decision.intent.quantity_quote) == (None, 250)


def test_a_sell_signal_leaves() -> None:
    """A bot in position sells it on SELL."""
    decision = evaluate(holding(), Signal.SELL)
    assert decision.intent is not None
    assert (decision.intent.side, decision.intent.quantity_base) == (Side.SELL, 1)


@pytest.mark.parametrize(
    "nothing",
    [
        NeverSent(message="too late"),
        Absent(message="not there"),
        Rejected(code=-1003, message="too much"),
        Executed(venue_order_id=5, status=OrderStatus.EXPIRED, fills=()),
    ],
    ids=lambda outcome: type(outcome).__name__,
)
def test_a_sell_signal_is_remembered_until_the_position_is_gone(nothing: Outcome) -> None:
    """The strategy says SELL once: whatever becomes of the order, the next price sells, until it is sold."""
    intended = evaluate(holding(), Signal.SELL)
    order = order_of(intended.intent)
    config = make_config()
    back = decide(config, intended.state, outcome(order, nothing), instrument=INSTRUMENT).state
    assert (back.in_position, back.open_order_number) == (True, None)
    assert thresholds(config, back).always
    again = decide(config, back, PriceMoved(price_quote=Decimal(101), at=NOW), instrument=INSTRUMENT)
    assert again.intent is not None
    assert (again.intent.side, again.intent.reason) == (Side.SELL, Reason.SIGNAL)
    half = Executed(venue_order_id=6, status=OrderStatus.EXPIRED, fills=(make_fill("101", "0.5"),))
    rest = decide(config, again.state, outcome(order_of(again.intent), half), instrument=INSTRUMENT).state
    assert (rest.current_position_size_coins, thresholds(config, rest).always) == (Decimal("0.5"), True)
    last = decide(config, rest, PriceMoved(price_quote=Decimal(101), at=NOW), instrument=INSTRUMENT)
    sold = executed(make_fill("101", "0.5"))
    done = decide(config, last.state, outcome(order_of(last.intent), sold), instrument=INSTRUMENT).state
    assert (done.in_position, done.leaving) == (False, None)


def test_a_stop_withdraws_an_exit_that_came_to_nothing() -> None:
    """What the strategy wanted is not done after the owner has stopped the bot, nor after the next start."""
    intended = evaluate(holding(), Signal.SELL)
    order = order_of(intended.intent)
    stopped_then = decide(make_config(), intended.state, StopRequested(at=NOW), instrument=INSTRUMENT).state
    lost = outcome(order, NeverSent(message="too late"))
    back = decide(make_config(), stopped_then, lost, instrument=INSTRUMENT).state
    assert (back.in_position, back.leaving) == (True, None)


@pytest.mark.parametrize(
    ("state", "instrument"),
    [(holding(), None), (holding(resting_list_number=1, protection_retry_at=NOW + SOON), INSTRUMENT)],
    ids=["rules unknown", "the list may not be touched yet"],
)
def test_a_sell_signal_that_must_wait_is_kept(state: BotState, instrument: Instrument | None) -> None:
    """A SELL of which nothing can be done at this moment is done at the first price at which it can."""
    kept = evaluate(state, Signal.SELL, instrument=instrument)
    assert kept.intent is None
    assert kept.state.leaving is Reason.SIGNAL
    later = PriceMoved(price_quote=Decimal(100), at=NOW + 2 * SOON)
    assert decide(make_config(), kept.state, later, instrument=INSTRUMENT).intent is not None


@pytest.mark.parametrize(
    ("state", "signal", "status"),
    [
        (running(), Signal.HOLD, Status.WAITING_NO_SIGNAL),
        (running(), Signal.SELL, Status.WAITING_NO_SIGNAL),
        (holding(status=Status.WAITING_NO_SIGNAL), Signal.HOLD, Status.RUNNING),
        (holding(), Signal.BUY, Status.RUNNING),
    ],
)
def test_the_status_says_what_the_bot_waits_for(state: BotState, signal: Signal, status: Status) -> None:
    """In position it runs; flat it waits for a signal."""
    decision = evaluate(state, signal)
    assert (decision.intent, decision.state.status) == (None, status)


@pytest.mark.parametrize("signal", [Signal.HOLD, Signal.BUY, Signal.SELL])
@pytest.mark.parametrize(
    "state",
    [
        stopped(),
        holding(is_active=False, status=Status.STOPPED, halted_by=HaltedBy.OWNER),
        running(open_order_number=1, orders_made=1),
        holding(open_order_number=1),
        halted(running(), Status.ERROR_CRASHED),
        halted(holding(), Status.ERROR_CRASHED),
        halted(holding(), Status.ERROR_ORDER_UNEXPLAINED),
        halted(holding(), Status.STOPPED),
        running(status=Status.PENDING),
        running(status=Status.STOPPED),
    ],
)
def test_no_strategy_for_who_is_stopped_waiting_quarantined_or_not_adopted(
    state: BotState, signal: Signal
) -> None:
    """A word of the strategy changes nothing for a bot that may not hear it."""
    decision = evaluate(state, signal)
    assert (decision.intent, decision.state) == (None, state)


def test_an_evaluation_that_changes_nothing_returns_an_equal_state() -> None:
    """The second of two like evaluations has nothing to write."""
    for state in (running(), holding(), halted(running(daily_trades_count=1), Status.PAUSED_MAX_TRADES)):
        settled = evaluate(state, Signal.HOLD, max_daily_trades=1).state
        assert evaluate(settled, Signal.HOLD, max_daily_trades=1).state == settled


def test_a_limit_goes_before_a_signal() -> None:
    """With a limit reached a BUY pauses instead of buying."""
    decision = evaluate(running(daily_trades_count=2), Signal.BUY, max_daily_trades=2)
    assert (decision.intent, decision.kind, decision.cause) == (None, "bot.paused", Cause.RISK)
    assert (decision.state.status, decision.state.halted_by) == (Status.PAUSED_MAX_TRADES, HaltedBy.SYSTEM)


def test_a_paused_bot_still_leaves() -> None:
    """No entries in a pause, but exits go on, and the pause stays to be seen."""
    paused = halted(holding(daily_trades_count=2), Status.PAUSED_MAX_TRADES)
    decision = evaluate(paused, Signal.SELL, max_daily_trades=2)
    assert decision.intent is not None
    assert (decision.state.status, decision.state.halted_by) == (Status.PAUSED_MAX_TRADES, HaltedBy.SYSTEM)


def test_a_pause_ends_with_its_limit() -> None:
    """A lifted limit resumes the bot, and the same signal enters at once."""
    paused = halted(running(daily_trades_count=2), Status.PAUSED_MAX_TRADES)
    resumed = evaluate(paused, Signal.HOLD, max_daily_trades=3)
    assert (resumed.kind, resumed.state.halted_by) == ("bot.resumed", None)
    assert resumed.state.status == Status.WAITING_NO_SIGNAL
    assert evaluate(paused, Signal.BUY, max_daily_trades=3).intent is not None


def test_a_size_below_the_filters_waits_and_says_so() -> None:
    """What the venue would not take is not ordered; the reason stands until a size would do."""
    waiting = evaluate(running(), Signal.BUY, position_size_fixed=Decimal("0.0001"))
    assert (waiting.intent, waiting.state.status) == (None, Status.WAITING_BELOW_FILTERS)
    still = evaluate(waiting.state, Signal.HOLD, position_size_fixed=Decimal("0.0001"))
    assert still.state == waiting.state
    assert evaluate(waiting.state, Signal.HOLD).state.status == Status.WAITING_NO_SIGNAL


@pytest.mark.parametrize("status", ["HALT", "BREAK", "CANCEL_ONLY", "END_OF_DAY", "SOMETHING_NEW"])
def test_a_market_that_is_not_trading_gets_no_entries(status: str) -> None:
    """Only on TRADING the bot enters."""
    decision = evaluate(running(), Signal.BUY, instrument=replace(INSTRUMENT, status=status))
    assert (decision.intent, decision.state.status) == (None, Status.WAITING_MARKET_CLOSED)


def test_without_the_venues_rules_nothing_is_intended() -> None:
    """Neither an entry nor an exit goes out before the venue has told its rules."""
    assert evaluate(running(), Signal.BUY, instrument=None).intent is None
    assert evaluate(holding(), Signal.SELL, instrument=None).intent is None


@pytest.mark.parametrize("status", [Status.ERROR_KEYS_MISSING, Status.ERROR_PRICE, Status.ERROR_CLIENT])
def test_a_disturbed_bot_does_not_enter_but_leaves(status: Status) -> None:
    """While keys, client or prices are away nothing is bought, and the status stays."""
    entry = evaluate(running(status=status), Signal.BUY)
    assert (entry.intent, entry.state.status) == (None, status)
    assert evaluate(holding(status=status), Signal.SELL).intent is not None


def test_a_refused_order_stays_to_be_seen_until_one_succeeds() -> None:
    """Holding does not wipe an error off; the next signal tries again."""
    refused = running(status=Status.ERROR_ORDER_REJECTED, last_error_message="-2010: no")
    assert evaluate(refused, Signal.HOLD).state == refused
    again = evaluate(refused, Signal.BUY)
    assert again.intent is not None
    assert again.state.status == Status.ERROR_ORDER_REJECTED


def test_what_is_too_small_to_sell_does_not_keep_the_bot_from_trading() -> None:
    """Stuck dust is shown as waiting, and the next BUY adds to it: no immortal trade."""
    tiny = holding(current_position_size_coins=Decimal("0.01"))
    waiting = evaluate(tiny, Signal.HOLD)
    assert waiting.state.status == Status.WAITING_BELOW_FILTERS
    assert evaluate(waiting.state, Signal.SELL).intent is None
    entry = evaluate(waiting.state, Signal.BUY)
    assert entry.intent is not None
    assert entry.intent.side is Side.BUY


def test_an_evaluation_raises_the_high() -> None:
    """The high of a position is kept also for bots without a trailing stop."""
    decision = evaluate(holding(), Signal.HOLD, price="105")
    assert (decision.kind, decision.state.max_price_since_entry) == ("mark.raised", 105)


@pytest.mark.parametrize("price", ["0", "-1"])
@pytest.mark.parametrize("size", [{}, {"position_size_fixed": None, "position_size_perc": Decimal(5)}])
def test_a_price_that_is_not_positive_is_no_price(price: str, size: dict[str, object]) -> None:
    """Without a price nothing is sized and nothing is sold."""
    assert evaluate(running(), Signal.BUY, price=price, **size).state == running()
    assert evaluate(holding(), Signal.SELL, price=price, **size).state == holding()


def test_a_close_request_bars_entries() -> None:
    """A bot that is about to be closed does not buy, not even on top of dust."""
    tiny = holding(current_position_size_coins=Decimal("0.01"), close_requested_at=NOW)
    assert evaluate(tiny, Signal.BUY).intent is None
