"""Trading days: UTC dates, and what their turn does to a bot.

A bot's day turns once; a trade belongs to the day of its last execution, whenever it is booked.
"""

from datetime import UTC, date, datetime, time, timedelta

from msgspec.structs import replace

from botwarden.trading.bot import BotConfig, BotState, Cause, HaltedBy, Status
from botwarden.trading.decisions import DayTurned, Decision


def trading_day(moment: datetime) -> date:
    """Return the UTC date of an aware moment."""
    return moment.astimezone(UTC).date()


def next_turn(now: datetime) -> datetime:
    """Return the first 00:00 UTC strictly after `now` (aware)."""
    return datetime.combine(trading_day(now) + timedelta(days=1), time.min, UTC)


def turn_day(config: BotConfig, state: BotState, event: DayTurned) -> Decision:
    """Take the counters of the new day and let go what the system halted.

    Whom its owner stopped stays stopped, except under `reactivate_all`. A bot that may not be
    reactivated keeps the system's halt: from then on only its guard works, until its owner starts it.
    The position, its stops, an open order and a close request are left alone.
    """
    if state.trading_day >= event.day:
        return Decision(state=state, cause=Cause.RESET, kind="day.turned")
    revived = config.reactivate_daily and (state.is_active or event.reactivate_all)
    turned = replace(
        state,
        trading_day=event.day,
        daily_pnl=event.daily_pnl,
        daily_trades_count=event.daily_trades_count,
        last_error_message=None,
        status=Status.STOPPED,
        is_active=state.is_active or revived,
        halted_by=None if revived else state.halted_by,
    )
    return Decision(state=turned, cause=Cause.RESET, kind="day.turned", message=_message(state, turned))


def _message(before: BotState, after: BotState) -> str | None:
    if after.is_active and not before.is_active:
        return "started again by the setting that reactivates every bot"
    if before.halted_by is HaltedBy.SYSTEM and before.is_active:
        return (
            "the system's halt ends" if after.halted_by is None else "stays halted: it may not be reactivated"
        )
    return None
