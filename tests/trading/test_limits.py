"""The daily limits pause a bot exactly when they are met, and let it go when they are not."""

from decimal import Decimal

import pytest

from botwarden.trading.bot import HaltedBy, Status
from botwarden.trading.limits import obey_limits, reached_limit
from tests.trading.examples import halted, make_config, running, stopped


@pytest.mark.parametrize(
    ("limits", "counters", "expected"),
    [
        ({"max_daily_trades": 3}, {"daily_trades_count": 2}, None),
        ({"max_daily_trades": 3}, {"daily_trades_count": 3}, Status.PAUSED_MAX_TRADES),
        ({"max_daily_trades": 3}, {"daily_trades_count": 4}, Status.PAUSED_MAX_TRADES),
        ({"max_daily_loss_perc": Decimal(2)}, {"daily_pnl": Decimal("-19.99")}, None),
        ({"max_daily_loss_perc": Decimal(2)}, {"daily_pnl": Decimal(-20)}, Status.PAUSED_MAX_LOSS),
        ({"max_daily_loss_perc": Decimal(2)}, {"daily_pnl": Decimal(20)}, None),
        ({"daily_target_perc": Decimal(2)}, {"daily_pnl": Decimal("19.99")}, None),
        ({"daily_target_perc": Decimal(2)}, {"daily_pnl": Decimal(20)}, Status.PAUSED_TARGET),
        ({}, {"daily_pnl": Decimal(-999), "daily_trades_count": 999}, None),
    ],
)
def test_a_limit_is_reached_when_it_is_met(
    limits: dict[str, object], counters: dict[str, object], expected: Status | None
) -> None:
    """Meeting a limit exactly reaches it; a limit that is not set is never reached."""
    assert reached_limit(make_config(**limits), running(**counters)) == expected


def test_a_reached_limit_pauses_by_the_system() -> None:
    """A pause is a halt by the system; the owner's wish stays."""
    paused = obey_limits(make_config(max_daily_trades=1), running(daily_trades_count=1))
    assert (paused.status, paused.halted_by, paused.is_active) == (
        Status.PAUSED_MAX_TRADES,
        HaltedBy.SYSTEM,
        True,
    )


def test_a_pause_ends_when_the_limit_is_lifted() -> None:
    """A changed config frees a paused bot."""
    paused = halted(running(daily_trades_count=1), Status.PAUSED_MAX_TRADES)
    freed = obey_limits(make_config(max_daily_trades=2), paused)
    assert (freed.status, freed.halted_by) == (Status.RUNNING, None)


@pytest.mark.parametrize(
    "state",
    [
        stopped(daily_trades_count=9),
        halted(running(daily_trades_count=9), Status.ERROR_CRASHED),
        halted(running(daily_trades_count=9), Status.ERROR_ORDER_UNEXPLAINED),
        halted(running(), Status.STOPPED),
    ],
)
def test_limits_touch_neither_stopped_nor_quarantined_bots(state: object) -> None:
    """What another hand has halted is neither paused nor freed by a limit."""
    assert obey_limits(make_config(max_daily_trades=1), state) == state
