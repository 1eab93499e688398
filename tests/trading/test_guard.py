"""The guard sells where it was asked to, never later, and wakes nobody without need."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from botwarden.trading.bot import BotState, Cause, Status
from botwarden.trading.guard import Thresholds, raise_high, thresholds, with_stops
from botwarden.trading.machine import Decision, PriceMoved, decide
from botwarden.trading.orders import Reason, Side
from tests.trading.examples import INSTRUMENT, NOW, halted, holding, make_config, running, stopped

TRAILING = make_config(trailing_stop_active=True, trailing_stop_perc=Decimal(2))


def price_moves(state: BotState, price: str, **changes: object) -> Decision:
    config = changes.pop("config", make_config())
    instrument = changes.pop("instrument", INSTRUMENT)
    event = PriceMoved(price_quote=Decimal(price), at=NOW, **changes)
    return decide(config, state, event, instrument=instrument)


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("95.01", None),
        ("95", Reason.STOP_LOSS),
        ("40", Reason.STOP_LOSS),
        ("109.99", None),
        ("110", Reason.TAKE_PROFIT),
        ("200", Reason.TAKE_PROFIT),
    ],
)
def test_a_threshold_sells_when_it_is_met(price: str, reason: Reason | None) -> None:
    """The stop-loss sells at or below its price, the take-profit at or above."""
    decision = price_moves(holding(), price)
    assert (decision.intent.reason if decision.intent else None) == reason
    if decision.intent:
        assert decision.cause is Cause.RISK
        assert (decision.intent.side, decision.intent.quantity_base) == (Side.SELL, 1)
        assert decision.state.open_order_number == decision.intent.number == decision.state.orders_made == 2


def test_a_trailing_stop_follows_the_price_up_and_sells_on_the_way_down() -> None:
    """A new high lifts the trailing stop; a fall to it sells."""
    up = price_moves(holding(), "105", config=TRAILING)
    assert (up.kind, up.intent) == ("mark.raised", None)
    assert (up.state.max_price_since_entry, up.state.trailing_stop_price) == (105, Decimal("102.9"))
    down = price_moves(up.state, "103", config=TRAILING)
    assert down.state == up.state
    sold = price_moves(up.state, "102.9", config=TRAILING)
    assert sold.intent is not None
    assert sold.intent.reason is Reason.TRAILING_STOP


@given(st.lists(st.decimals(min_value="0.01", max_value=1000, places=2), max_size=20))
def test_high_and_trailing_stop_never_fall(prices: list[Decimal]) -> None:
    """Whatever the prices, neither the high nor the trailing stop ever goes down."""
    state = with_stops(TRAILING, holding(), INSTRUMENT)
    for price in prices:
        after = raise_high(TRAILING, state, price, instrument=INSTRUMENT)
        assert after.max_price_since_entry >= max(state.max_price_since_entry, price)
        assert after.trailing_stop_price >= state.trailing_stop_price
        state = after


@given(
    entry=st.decimals(min_value="0.00000123", max_value=100_000, places=8),
    percent=st.decimals(min_value="0.01", max_value=99, places=2),
    tick=st.sampled_from([Decimal(0), Decimal("0.00000001"), Decimal("0.01"), Decimal(1)]),
)
def test_stops_never_trigger_later_than_asked(entry: Decimal, percent: Decimal, tick: Decimal) -> None:
    """A stop lies at or above its percentage and below the entry, a take-profit at or below its and above."""
    config = make_config(
        stop_loss_perc=percent,
        take_profit_perc=percent,
        trailing_stop_perc=percent,
        trailing_stop_active=True,
    )
    bare = running(in_position=True, entry_price=entry, current_position_size_coins=Decimal(1))
    state = with_stops(config, bare, replace(INSTRUMENT, tick_size=tick))
    part = percent / 100
    assert entry * (1 - part) <= state.stop_loss_price < entry
    assert entry < state.take_profit_price <= entry * (1 + part)
    assert state.trailing_stop_price == state.stop_loss_price
    assert state.max_price_since_entry == entry


def test_an_owners_lower_trailing_stop_stands_until_the_next_high() -> None:
    """What an owner wrote is not undone by prices that are no new high."""
    written = holding(max_price_since_entry=Decimal(108), trailing_stop_price=Decimal(101))
    assert price_moves(written, "107", config=TRAILING).state == written
    assert price_moves(written, "109", config=TRAILING).state.trailing_stop_price == Decimal("106.82")


def test_the_stop_loss_is_named_before_the_trailing_stop() -> None:
    """A price below both is a stop-loss."""
    decision = price_moves(holding(trailing_stop_price=Decimal(98)), "90", config=TRAILING)
    assert decision.intent is not None
    assert decision.intent.reason is Reason.STOP_LOSS


@pytest.mark.parametrize(
    "state",
    [
        halted(holding(), Status.ERROR_CRASHED),
        halted(holding(), Status.ERROR_ORDER_UNEXPLAINED),
        halted(holding(), Status.PAUSED_MAX_LOSS),
        halted(holding(), Status.STOPPED),
        holding(status=Status.STOPPED),
        holding(status=Status.PENDING),
        holding(status=Status.ERROR_KEYS_MISSING),
        holding(status=Status.ERROR_ORDER_REJECTED),
    ],
)
def test_the_guard_of_an_active_bot_never_sleeps(state: BotState) -> None:
    """Pause, quarantine, error and the turn of the day take away entries, never the guard."""
    decision = price_moves(state, "90")
    assert decision.intent is not None
    assert decision.intent.reason is Reason.STOP_LOSS
    assert decision.state.halted_by == state.halted_by
    assert thresholds(make_config(), state).sell_at_or_below == 95


@pytest.mark.parametrize("price", ["1", "95", "110", "100000"])
@pytest.mark.parametrize(
    "state",
    [stopped(), running(), holding(is_active=False, status=Status.STOPPED), holding(open_order_number=1)],
)
def test_nothing_is_intended_flat_stopped_or_with_an_open_order(state: BotState, price: str) -> None:
    """A flat bot has nothing to sell, a stopped bot sells nothing, and an open order is waited for."""
    assert price_moves(state, price).intent is None


def test_a_price_that_is_not_positive_is_no_price() -> None:
    """A venue that shows zero for a delisted symbol does not make the guard sell for nothing."""
    assert price_moves(holding(), "0").state == holding()
    assert price_moves(holding(), "-1").intent is None


def test_without_the_venues_rules_nothing_is_intended() -> None:
    """A touched stop without an instrument keeps the high and waits for the rules."""
    decision = price_moves(holding(), "90", instrument=None)
    assert (decision.intent, decision.state) == (None, holding())


def test_an_exit_goes_out_while_the_symbol_is_not_trading() -> None:
    """Whether a halted market takes an exit is for the venue to say."""
    decision = price_moves(holding(), "90", instrument=replace(INSTRUMENT, status="HALT"))
    assert decision.intent is not None


def test_an_exit_is_bounded_by_what_the_account_has_free() -> None:
    """After the venue said that there is less than we hold, only that much is sold."""
    decision = price_moves(holding(), "90", free_base=Decimal("0.7654"))
    assert decision.intent is not None
    assert decision.intent.quantity_base == Decimal("0.765")
    assert price_moves(holding(), "90", free_base=Decimal(0)).state == holding()


def test_a_position_too_small_to_sell_waits() -> None:
    """What the venue does not take is not ordered; the bot says why it waits, once."""
    tiny = holding(current_position_size_coins=Decimal("0.01"))
    waiting = price_moves(tiny, "90")
    assert (waiting.intent, waiting.state.status) == (None, Status.WAITING_BELOW_FILTERS)
    assert price_moves(waiting.state, "90").state == waiting.state


def test_a_close_request_sells_at_any_price_also_when_stopped() -> None:
    """A close is carried out at the next price, active or not, before any other reason."""
    for state in (holding(), holding(is_active=False, status=Status.STOPPED)):
        decision = price_moves(replace(state, close_requested_at=NOW), "90")
        assert decision.intent is not None
        assert decision.intent.reason is Reason.CLOSE_REQUESTED
        assert decision.cause is Cause.OWNER
        assert decision.state.is_active == state.is_active


def test_a_close_of_what_cannot_be_sold_is_done_with() -> None:
    """A close request for dust stops the bot and keeps the position, instead of waiting for ever."""
    tiny = holding(current_position_size_coins=Decimal("0.01"), close_requested_at=NOW)
    done = price_moves(tiny, "100").state
    assert (done.is_active, done.status, done.close_requested_at) == (False, Status.STOPPED, None)
    assert done.in_position
    assert "0.01 BTC" in done.last_error_message


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (running(), Thresholds()),
        (holding(is_active=False, status=Status.STOPPED), Thresholds()),
        (holding(open_order_number=1), Thresholds()),
        (
            holding(is_active=False, status=Status.STOPPED, close_requested_at=NOW - timedelta(hours=1)),
            Thresholds(always=True),
        ),
        (holding(), Thresholds(sell_at_or_below=Decimal(95), sell_at_or_above=Decimal(110))),
        (holding(stop_loss_price=None, take_profit_price=None), Thresholds()),
    ],
)
def test_thresholds_tell_when_the_guard_has_work(state: BotState, expected: Thresholds) -> None:
    """A bot is woken by its stop, its take-profit or a close request, and otherwise sleeps."""
    assert thresholds(make_config(), state) == expected


def test_thresholds_of_a_trailing_bot() -> None:
    """A trailing bot is also woken by a new high, and by the higher of its two stops."""
    assert thresholds(TRAILING, holding()) == Thresholds(
        sell_at_or_below=Decimal(98), sell_at_or_above=Decimal(110), new_high_above=Decimal(100)
    )


@given(
    price=st.decimals(min_value=1, max_value=200, places=2),
    trailing=st.booleans(),
    high=st.decimals(min_value=100, max_value=109, places=2),
    close=st.booleans(),
    active=st.booleans(),
)
def test_a_price_that_touches_no_threshold_changes_nothing(
    price: Decimal, trailing: bool, high: Decimal, close: bool, active: bool
) -> None:
    """Whoever the thresholds leave asleep would not have decided anything: sleeping loses nothing."""
    config = TRAILING if trailing else make_config()
    state = holding(is_active=active, close_requested_at=NOW if close else None, status=Status.RUNNING)
    state = raise_high(config, state, high)
    wake = thresholds(config, state)
    touched = (
        wake.always
        or (wake.sell_at_or_below is not None and price <= wake.sell_at_or_below)
        or (wake.sell_at_or_above is not None and price >= wake.sell_at_or_above)
        or (wake.new_high_above is not None and price > wake.new_high_above)
    )
    decision = price_moves(state, str(price), config=config)
    if not touched:
        assert decision.intent is None
        assert decision.state == raise_high(make_config(), state, price if active else Decimal(0))
    if decision.intent is not None:
        assert touched
