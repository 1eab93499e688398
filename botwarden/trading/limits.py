"""The daily limits of a bot.

A signal never overrides a limit: they are looked at before every entry and right after every
settlement, in the same decision.
"""

from msgspec.structs import replace

from botwarden.trading.bot import BotConfig, BotState, HaltedBy, Status
from botwarden.trading.halts import is_paused, is_quarantined
from botwarden.trading.money import percent_of


def reached_limit(config: BotConfig, state: BotState) -> Status | None:
    """Return how the bot is paused by the counters of its trading day; None when no limit is reached.

    A limit is reached when it is met exactly. Percentages are of `initial_capital`.
    """
    if config.max_daily_trades is not None and state.daily_trades_count >= config.max_daily_trades:
        return Status.PAUSED_MAX_TRADES
    if config.max_daily_loss_perc is not None:
        worst = percent_of(config.initial_capital, config.max_daily_loss_perc).copy_negate()
        if state.daily_pnl <= worst:
            return Status.PAUSED_MAX_LOSS
    if config.daily_target_perc is not None:
        target = percent_of(config.initial_capital, config.daily_target_perc)
        if state.daily_pnl >= target:
            return Status.PAUSED_TARGET
    return None


def obey_limits(config: BotConfig, state: BotState) -> BotState:
    """Return the state paused while a limit is reached, and out of the pause when none is any more."""
    if not state.is_active or is_quarantined(state):
        return state
    reached = reached_limit(config, state)
    if reached is not None:
        return replace(state, status=reached, halted_by=HaltedBy.SYSTEM)
    if is_paused(state):
        return replace(state, status=Status.RUNNING, halted_by=None)
    return state
