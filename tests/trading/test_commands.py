"""Start, stop and close: the last wish wins, and asking twice is asking once."""

import pytest

from botwarden.errors import Refused
from botwarden.trading.bot import BotState, Cause, HaltedBy, Status
from botwarden.trading.machine import CloseRequested, Decision, Input, StartRequested, StopRequested, decide
from tests.trading.examples import INSTRUMENT, NOW, halted, holding, make_config, running, stopped

START, STOP, CLOSE = StartRequested(at=NOW), StopRequested(at=NOW), CloseRequested(at=NOW)


def ask(state: BotState, command: Input) -> Decision:
    return decide(make_config(), state, command, instrument=INSTRUMENT)


def test_a_start_makes_a_stopped_bot_pending() -> None:
    """After a start the bot is active, pending, held back by nobody, and without an old error."""
    decision = ask(stopped(last_error_message="old", close_requested_at=NOW), START)
    after = decision.state
    assert (after.is_active, after.status, after.halted_by) == (True, Status.PENDING, None)
    assert (after.last_error_message, after.close_requested_at) == (None, None)
    assert (decision.cause, decision.kind) == (Cause.OWNER, "bot.started")


@pytest.mark.parametrize(
    "state", [running(), running(status=Status.PENDING), holding(), running(status=Status.WAITING_NO_SIGNAL)]
)
def test_starting_a_running_bot_changes_nothing(state: BotState) -> None:
    """A start of what runs already is no change."""
    assert ask(state, START).state == state


@pytest.mark.parametrize(
    "status", [Status.PAUSED_MAX_LOSS, Status.ERROR_CRASHED, Status.ERROR_ORDER_UNEXPLAINED, Status.STOPPED]
)
def test_a_start_lifts_what_the_system_halted(status: Status) -> None:
    """Pause, quarantine and the halt of a bot that may not be reactivated end with the owner's start."""
    after = ask(halted(holding(), status), START).state
    assert (after.status, after.halted_by, after.in_position) == (Status.PENDING, None, True)


@pytest.mark.parametrize("state", [running(), holding(), halted(running(), Status.PAUSED_TARGET)])
def test_a_stop_stops_and_keeps_the_position(state: BotState) -> None:
    """After a stop the bot is inactive by its owner's will; its position is shown as unwatched."""
    decision = ask(state, STOP)
    after = decision.state
    assert (after.is_active, after.status, after.halted_by) == (False, Status.STOPPED, HaltedBy.OWNER)
    assert after.in_position == state.in_position == after.unwatched_position
    assert (decision.cause, decision.kind) == (Cause.OWNER, "bot.stopped")


def test_stopping_a_stopped_bot_changes_nothing() -> None:
    """A stop of what is stopped is no change."""
    assert ask(stopped(), STOP).state == stopped()


@pytest.mark.parametrize("order", [None, 1])
def test_a_stop_withdraws_a_close_request(order: int | None) -> None:
    """After a stop nothing more is sold, not even the rest of a sale that is under way."""
    closing = holding(close_requested_at=NOW, open_order_number=order)
    after = ask(closing, STOP).state
    assert (after.close_requested_at, after.open_order_number) == (None, order)


@pytest.mark.parametrize("state", [stopped(), running()])
def test_without_a_position_there_is_nothing_to_close(state: BotState) -> None:
    """A close request without a position is refused."""
    with pytest.raises(Refused):
        ask(state, CLOSE)


@pytest.mark.parametrize(
    "state",
    [
        holding(),
        holding(is_active=False, status=Status.STOPPED, halted_by=HaltedBy.OWNER),
        halted(holding(), Status.ERROR_CRASHED),
        holding(open_order_number=1),
        running(open_order_number=1, orders_made=1),
        stopped(open_order_number=1, orders_made=1),
    ],
)
def test_a_close_request_is_remembered_and_changes_nothing_else(state: BotState) -> None:
    """Only `close_requested_at` changes; the sale follows at the next price, or what is in flight."""
    decision = ask(state, CLOSE)
    assert decision.intent is None
    assert decision.state.close_requested_at == NOW
    assert (decision.state.status, decision.state.is_active) == (state.status, state.is_active)
    assert ask(decision.state, CLOSE).state == decision.state
