"""The owner's PUT: only given fields change, and every bad one is named."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from botwarden.errors import Invalid, Refused
from botwarden.trading.bot import BotState, Cause, HaltedBy, Status
from botwarden.trading.machine import StatePut, decide
from botwarden.trading.state_put import READ_ONLY, WRITABLE
from tests.trading.examples import INSTRUMENT, NOW, holding, make_config, running, stopped

POSITION = {"in_position": True, "entry_price": Decimal(200), "current_position_size_coins": Decimal("0.5")}


def put(state: BotState, **changes: object) -> BotState:
    decision = decide(make_config(), state, StatePut(changes=changes, at=NOW), instrument=INSTRUMENT)
    assert (decision.cause, decision.kind, decision.intent) == (Cause.API, "state.put", None)
    return decision.state


def bad_fields(state: BotState, **changes: object) -> set[str]:
    with pytest.raises(Invalid) as caught:
        put(state, **changes)
    return {error.field for error in caught.value.errors}


@pytest.mark.parametrize("name", [*sorted(READ_ONLY), "is_active", "nonsense", "orders_made", "user_id", ""])
def test_what_nobody_may_write_is_refused_by_name(name: str) -> None:
    """Read-only and unknown fields are named, whatever their value."""
    assert bad_fields(stopped(), **{name: 1}) == {name}


def test_every_bad_field_is_named_at_once() -> None:
    """One answer tells all that is wrong."""
    assert bad_fields(stopped(), version=3, daily_pnl="abc", in_position=1, stop_loss_price=5) == {
        "version",
        "daily_pnl",
        "in_position",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("daily_pnl", None),
        ("daily_pnl", True),
        ("daily_pnl", "1,5"),
        ("daily_pnl", " 1"),
        ("daily_pnl", "1_000"),
        ("daily_pnl", "٣"),
        ("daily_pnl", "NaN"),
        ("daily_pnl", Decimal("NaN")),
        ("daily_pnl", Decimal("sNaN")),
        ("daily_pnl", Decimal("-Infinity")),
        ("daily_pnl", "1e99"),
        ("daily_pnl", Decimal("1E+100000")),
        ("daily_pnl", Decimal("1E-30")),
        ("daily_pnl", [1]),
        ("daily_pnl", {}),
        ("stop_loss_price", -1),
        ("stop_loss_price", "-0.01"),
        ("stop_loss_price", False),
        ("take_profit_price", Decimal("Infinity")),
        ("current_position_size_coins", None),
        ("daily_trades_count", Decimal("1.5")),
        ("daily_trades_count", -1),
        ("daily_trades_count", 10**10),
        ("daily_trades_count", None),
        ("in_position", "true"),
        ("in_position", None),
        ("last_error_message", 5),
        ("last_error_message", "x" * 3000),
        ("last_error_message", "a\0b"),
        ("status", "running"),
        ("status", "waiting (no signal)"),
        ("status", None),
        ("status", 1),
        ("status", []),
    ],
)
def test_values_that_break_a_rule(field: str, value: object) -> None:
    """Wrong types, numbers that are not finite, negative or excessive, and other statuses are refused."""
    assert bad_fields(stopped(), **{field: value}) == {field}


@pytest.mark.parametrize(
    ("field", "given_value", "kept"),
    [
        ("daily_pnl", "-12.50", Decimal("-12.5")),
        ("daily_pnl", -3, Decimal(-3)),
        ("daily_pnl", "1e2", Decimal(100)),
        ("daily_trades_count", 4, 4),
        ("daily_trades_count", "4", 4),
        ("daily_trades_count", Decimal("4.0"), 4),
        ("stop_loss_price", Decimal("95.5"), Decimal("95.5")),
        ("stop_loss_price", None, None),
        ("take_profit_price", "123.456789012345678", Decimal("123.456789012345678")),
        ("trailing_stop_price", 0, Decimal(0)),
        ("max_price_since_entry", 7, Decimal(7)),
        ("last_error_message", "note", "note"),
        ("last_error_message", None, None),
    ],
)
@pytest.mark.parametrize("state", [stopped(), running(), holding()])
def test_only_the_given_field_changes(state: BotState, field: str, given_value: object, kept: object) -> None:
    """A PUT of one field at any time changes that field and nothing else."""
    if field == "daily_trades_count":
        assert isinstance(put(state, **{field: given_value}).daily_trades_count, int)
    assert put(state, **{field: given_value}) == replace(state, **{field: kept})


def test_nothing_given_nothing_changed() -> None:
    """An empty PUT changes nothing, and neither does one of the present values."""
    state = holding()
    assert put(state) == state
    same = {name: getattr(state, name) for name in WRITABLE if name != "status"}
    assert put(state, **same) == state


def test_a_status_starts_and_stops() -> None:
    """`pending` is a start, `stopped` a stop, each with all that belongs to it."""
    started = put(stopped(), status="pending")
    assert (started.is_active, started.status, started.halted_by) == (True, Status.PENDING, None)
    halted = put(holding(close_requested_at=NOW), status="stopped")
    assert (halted.is_active, halted.status, halted.halted_by) == (False, Status.STOPPED, HaltedBy.OWNER)
    assert halted.close_requested_at is None
    assert put(running(), status="pending") == running()
    assert put(stopped(), status="stopped") == stopped()


def test_a_position_can_be_written_while_stopped() -> None:
    """A position brings its cost with it; its thresholds come with the next start."""
    after = put(stopped(), **POSITION)
    assert after.in_position
    assert after.position_cost_quote == 100
    assert after.stop_loss_price is None
    started = put(stopped(), **POSITION, status="pending")
    assert (started.in_position, started.status) == (True, Status.PENDING)


def test_a_changed_position_changes_its_cost_and_an_unchanged_one_keeps_it() -> None:
    """The basis of profit follows what the owner says was paid, and only then."""
    held = holding(is_active=False, status=Status.STOPPED, position_cost_quote=Decimal("100.1"))
    assert put(held, current_position_size_coins=2).position_cost_quote == 200
    assert put(held, current_position_size_coins=1, entry_price="100.0").position_cost_quote == Decimal(
        "100.1"
    )


def test_a_position_can_be_given_up() -> None:
    """Without the position nothing of it remains, not even a close request for it."""
    held = holding(is_active=False, status=Status.STOPPED, close_requested_at=NOW)
    after = put(held, in_position=False)
    assert after == replace(stopped(), orders_made=1, halted_by=None)


@pytest.mark.parametrize(
    "state",
    [
        running(),
        holding(),
        running(status=Status.PENDING),
        stopped(open_order_number=1, orders_made=1),
    ],
)
def test_a_position_cannot_be_changed_while_active_or_in_flight(state: BotState) -> None:
    """The ledger of a bot that may trade, or whose order may still fill, is its own."""
    with pytest.raises(Refused):
        put(state, **POSITION)


def test_a_stop_in_the_same_put_does_not_open_the_position() -> None:
    """Stopping and rewriting the position takes two steps, as an order may be in flight between them."""
    with pytest.raises(Refused):
        put(holding(), status="stopped", in_position=False)


@pytest.mark.parametrize(
    ("state", "changes", "fields"),
    [
        (stopped(), {"in_position": True}, {"in_position", "entry_price", "current_position_size_coins"}),
        (
            stopped(),
            {"in_position": True, "entry_price": 5},
            {"in_position", "current_position_size_coins"},
        ),
        (
            stopped(),
            {"in_position": True, "current_position_size_coins": 5, "entry_price": 0},
            {"in_position", "entry_price"},
        ),
        (stopped(), {"current_position_size_coins": 5}, {"current_position_size_coins"}),
        (stopped(), {"entry_price": 5}, {"entry_price"}),
        (
            holding(is_active=False, status=Status.STOPPED),
            {"in_position": False, "current_position_size_coins": 1},
            {"current_position_size_coins"},
        ),
        (
            holding(is_active=False, status=Status.STOPPED),
            {"current_position_size_coins": 0},
            {"current_position_size_coins"},
        ),
        (holding(is_active=False, status=Status.STOPPED), {"entry_price": None}, {"entry_price"}),
        (holding(), {"stop_loss_price": 111}, {"stop_loss_price"}),
        (holding(), {"take_profit_price": 94}, {"take_profit_price"}),
        (
            running(),
            {"stop_loss_price": 10, "take_profit_price": 9},
            {"stop_loss_price", "take_profit_price"},
        ),
        (holding(), {"trailing_stop_price": 111}, {"trailing_stop_price"}),
    ],
)
def test_contradictions_are_named(state: BotState, changes: dict[str, object], fields: set[str]) -> None:
    """A position without a size, a size without a position, and a stop above the take-profit are refused."""
    assert bad_fields(state, **changes) == fields


JSON = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=True, allow_infinity=True)
    | st.text(max_size=20)
    | st.sampled_from(["stopped", "pending", "1.5", "-1", "1e5"])
    | st.lists(st.integers(), max_size=2)
)


@given(
    changes=st.dictionaries(st.sampled_from(sorted(WRITABLE | READ_ONLY | {"x"})), JSON, max_size=6),
    state=st.sampled_from([stopped(), running(), holding(), holding(is_active=False, status=Status.STOPPED)]),
)
def test_whatever_is_put_the_state_stays_whole(changes: dict[str, object], state: BotState) -> None:
    """Any JSON is taken or refused in the families of errors; what is taken contradicts nothing."""
    try:
        after = put(state, **changes)
    except (Invalid, Refused):
        return
    assert not changes.keys() & (READ_ONLY | {"x"})
    assert after.in_position == (after.current_position_size_coins > 0) == (after.entry_price is not None)
    assert after.daily_trades_count >= 0
    assert after.daily_pnl.is_finite()
    assert (after.version, after.orders_made) == (state.version, state.orders_made)
    if state.is_active:
        assert after.in_position == state.in_position
        assert after.current_position_size_coins == state.current_position_size_coins
