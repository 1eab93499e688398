"""The day turns once, frees what the system halted, and leaves what owners stopped."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botwarden.trading.bot import BotState, Cause, HaltedBy, Status
from botwarden.trading.days import next_turn, trading_day
from botwarden.trading.machine import Adopted, DayTurned, Decision, Evaluated, Signal, decide
from tests.trading.examples import (
    INSTRUMENT,
    NOW,
    TODAY,
    TOMORROW,
    halted,
    holding,
    make_config,
    running,
    stopped,
)


def turn(
    state: BotState, *, everybody: bool = False, reactivates: bool = True, **figures: object
) -> Decision:
    event = DayTurned(
        day=figures.pop("day", TOMORROW),
        daily_pnl=figures.pop("daily_pnl", Decimal(0)),
        daily_trades_count=figures.pop("daily_trades_count", 0),
        reactivate_all=everybody,
        at=NOW,
    )
    return decide(make_config(reactivate_daily=reactivates), state, event, instrument=INSTRUMENT)


def test_the_turn_takes_the_new_days_figures_and_clears_the_message() -> None:
    """Counters are what the trades of the new day say, and the status starts over."""
    before = running(daily_pnl=Decimal(-7), daily_trades_count=3, last_error_message="old")
    decision = turn(before, daily_pnl=Decimal("1.5"), daily_trades_count=1)
    after = decision.state
    assert (after.trading_day, after.daily_pnl, after.daily_trades_count) == (TOMORROW, Decimal("1.5"), 1)
    assert (after.status, after.last_error_message) == (Status.STOPPED, None)
    assert (after.is_active, after.halted_by) == (True, None)
    assert (decision.cause, decision.kind) == (Cause.RESET, "day.turned")


@pytest.mark.parametrize("day", [TODAY, TODAY - timedelta(days=1)])
def test_a_day_that_has_begun_does_not_turn_again(day: object) -> None:
    """A second turn of the same day, or of an earlier one, changes nothing."""
    state = running(daily_trades_count=3)
    assert turn(state, day=day).state == state


@pytest.mark.parametrize(
    "status", [Status.PAUSED_MAX_LOSS, Status.ERROR_CRASHED, Status.ERROR_ORDER_UNEXPLAINED]
)
def test_what_the_system_halted_goes_on(status: Status) -> None:
    """Limits and quarantine end with the day."""
    after = turn(halted(running(), status)).state
    assert (after.status, after.halted_by, after.is_active) == (Status.STOPPED, None, True)


@pytest.mark.parametrize("reactivates", [True, False])
def test_what_its_owner_stopped_stays_stopped(reactivates: bool) -> None:
    """The day's turn never undoes an owner's stop."""
    after = turn(stopped(daily_trades_count=2), reactivates=reactivates).state
    assert (after.is_active, after.halted_by, after.status) == (False, HaltedBy.OWNER, Status.STOPPED)
    assert after.daily_trades_count == 0


def test_under_the_other_reading_every_inactive_bot_starts_again_if_it_may() -> None:
    """BOTWARDEN_RESET_REACTIVATES=all starts inactive bots, except those that may not be reactivated."""
    after = turn(stopped(), everybody=True).state
    assert (after.is_active, after.halted_by) == (True, None)
    after = turn(stopped(), everybody=True, reactivates=False).state
    assert (after.is_active, after.halted_by) == (False, HaltedBy.OWNER)


def test_a_halted_bot_that_may_not_be_reactivated_stays_guard_only() -> None:
    """It shows stopped, keeps the system's halt, is not adopted, hears no strategy, and is still guarded."""
    after = turn(halted(holding(), Status.PAUSED_MAX_LOSS), reactivates=False).state
    assert (after.status, after.halted_by, after.is_active) == (Status.STOPPED, HaltedBy.SYSTEM, True)
    config = make_config(reactivate_daily=False)
    assert decide(config, after, Adopted(at=NOW), instrument=INSTRUMENT).state == after
    word = Evaluated(signal=Signal.SELL, price_quote=Decimal(100), at=NOW)
    assert decide(config, after, word, instrument=INSTRUMENT).state == after


def test_an_active_bot_that_may_not_be_reactivated_just_goes_on() -> None:
    """`reactivate_daily` is about halted bots: a running one needs no reactivation."""
    after = turn(running(), reactivates=False).state
    assert (after.is_active, after.halted_by) == (True, None)


def test_position_stops_and_open_ends_are_left_alone() -> None:
    """The turn touches neither the position nor its stops, an open order or a close request."""
    before = holding(open_order_number=1, close_requested_at=NOW, trailing_stop_price=Decimal(98))
    after = turn(before).state
    for name in (
        "in_position",
        "entry_price",
        "current_position_size_coins",
        "position_cost_quote",
        "stop_loss_price",
        "take_profit_price",
        "trailing_stop_price",
        "max_price_since_entry",
        "open_order_number",
        "orders_made",
        "close_requested_at",
        "version",
    ):
        assert getattr(after, name) == getattr(before, name)


@given(
    moment=st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001 - zone below
    offset=st.integers(min_value=-12 * 60, max_value=14 * 60),
)
def test_the_next_turn_is_the_first_utc_midnight_after_now(moment: datetime, offset: int) -> None:
    """Wherever a clock stands, the day turns at 00:00 UTC, strictly later, at most 24 hours away."""
    now = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    following = next_turn(now)
    assert timedelta(0) < following - now <= timedelta(days=1)
    assert following.timetz() == datetime(2000, 1, 1, tzinfo=UTC).timetz()
    assert trading_day(following) == trading_day(now) + timedelta(days=1)
