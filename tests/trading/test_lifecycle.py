"""Adoption, disturbances and quarantine never touch what an owner or a halt decided."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from botwarden.trading.bot import BotState, Cause, HaltedBy, Status
from botwarden.trading.machine import Adopted, Crashed, Decision, Disturbed, Input, Recovered, decide
from tests.trading.examples import INSTRUMENT, NOW, halted, holding, make_config, running, stopped

ADOPT = Adopted(at=NOW)
LOST = Disturbed(status=Status.ERROR_PRICE, message="no prices", at=NOW)
FOUND = Recovered(status=Status.ERROR_PRICE, at=NOW)
CRASH = Crashed(message="boom", at=NOW)


def tell(state: BotState, event: Input) -> Decision:
    return decide(make_config(), state, event, instrument=INSTRUMENT)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Status.STOPPED, Status.PENDING),
        (Status.PENDING, Status.RUNNING),
        (Status.RUNNING, Status.RUNNING),
        (Status.WAITING_NO_SIGNAL, Status.WAITING_NO_SIGNAL),
        (Status.ERROR_ORDER_REJECTED, Status.ERROR_ORDER_REJECTED),
        (Status.ERROR_PRICE, Status.RUNNING),
        (Status.ERROR_KEYS_MISSING, Status.RUNNING),
        (Status.ERROR_KEY_DECRYPT, Status.RUNNING),
        (Status.ERROR_CLIENT, Status.RUNNING),
    ],
)
def test_adoption_takes_one_step(before: Status, after: Status) -> None:
    """Stopped → pending → running, one step each; a disturbance is over; all else stays."""
    decision = tell(running(status=before), ADOPT)
    assert (decision.state.status, decision.cause) == (after, Cause.SUPERVISOR)


@pytest.mark.parametrize(
    "state",
    [
        stopped(),
        halted(running(), Status.STOPPED),
        halted(running(), Status.PAUSED_TARGET),
        halted(running(), Status.ERROR_CRASHED),
    ],
)
def test_adoption_lifts_no_halt(state: BotState) -> None:
    """Neither a stopped bot nor one that the system halted is woken by its holder."""
    assert tell(state, ADOPT).state == state


def test_a_position_without_thresholds_gets_them_on_its_way_up() -> None:
    """A position that its owner wrote by hand is guarded from its entry price before the bot runs."""
    bare = holding(
        status=Status.PENDING, stop_loss_price=None, take_profit_price=None, max_price_since_entry=None
    )
    after = tell(bare, ADOPT).state
    assert (after.stop_loss_price, after.take_profit_price) == (95, 110)
    assert after.max_price_since_entry == 100
    kept = tell(replace(bare, stop_loss_price=Decimal(80)), ADOPT).state
    assert kept.stop_loss_price == 80


def test_a_disturbance_comes_and_goes() -> None:
    """What is away is shown with its message, once, and left when it is back."""
    disturbed = tell(running(), LOST).state
    assert (disturbed.status, disturbed.last_error_message) == (Status.ERROR_PRICE, "no prices")
    assert tell(disturbed, LOST).state == disturbed
    other = Recovered(status=Status.ERROR_CLIENT, at=NOW)
    assert tell(disturbed, other).state == disturbed
    back = tell(disturbed, FOUND).state
    assert (back.status, back.last_error_message) == (Status.RUNNING, None)


@pytest.mark.parametrize("event", [LOST, FOUND])
@pytest.mark.parametrize(
    "state",
    [stopped(), halted(running(), Status.PAUSED_MAX_TRADES), halted(running(), Status.ERROR_CRASHED)],
)
def test_a_disturbance_paints_over_no_halt(state: BotState, event: Input) -> None:
    """A stop, a pause and a quarantine stay to be seen while something is away."""
    assert tell(state, event).state == state


def test_a_crash_quarantines_and_keeps_the_message() -> None:
    """After too many crashes the system holds the bot; its owner's wish and its position stay."""
    decision = tell(holding(), CRASH)
    after = decision.state
    assert (after.status, after.halted_by, after.is_active) == (Status.ERROR_CRASHED, HaltedBy.SYSTEM, True)
    assert (after.last_error_message, after.in_position) == ("boom", True)
    assert (decision.cause, decision.kind) == (Cause.SUPERVISOR, "bot.quarantined")


def test_a_crash_leaves_a_stopped_bot_stopped() -> None:
    """What its owner stopped is not shown as crashed."""
    assert tell(stopped(), CRASH).state == stopped()


def test_messages_are_cut() -> None:
    """A page of HTML does not become a message of the state."""
    after = tell(running(), Crashed(message="x" * 10_000, at=NOW)).state
    assert len(after.last_error_message) == 500
