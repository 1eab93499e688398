"""The day turns once: one transaction that claims the day and resets every bot which lives in an earlier one.

The reset holds its advisory lock alone, so no commit and no owner's request runs beside it: whatever
trade was booked before is counted by the day it belongs to, and nothing is counted twice. What a bot
becomes is `trading.days.turn_day`, said in SQL; a test holds the two against each other.
"""

from collections.abc import Sequence
from datetime import date

import msgspec
from sqlalchemy import text

from botwarden.persistence.database import Transaction
from botwarden.persistence.halts import EVERYONE
from botwarden.persistence.transitions import exclude_changes
from botwarden.trading.bot import BotId


class ResetDone(msgspec.Struct, frozen=True, kw_only=True):
    """The day is ours; these bots have been reset, in id order."""

    bot_ids: Sequence[BotId]


class AlreadyDone(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody has turned this day before: nothing was changed."""


class TooEarly(msgspec.Struct, frozen=True, kw_only=True):
    """By the database's clock the day has not begun: nothing was changed."""

    #: The day that it is by that clock.
    today: date


ResetOutcome = ResetDone | AlreadyDone | TooEarly


async def reset_day(tx: Transaction, day: date, *, reactivate_all: bool = False) -> ResetOutcome:
    """Turn `day` (UTC) for all bots; days that were missed before it need no turn of their own.

    `reactivate_all` also starts whom owners stopped, unless a brake holds the account.

    Locks: the reset's advisory lock alone, then the bots' rows in id order.
    Raises `Locked` when the lock is not to be had.
    """
    today = (await tx.execute(_TODAY)).scalar_one()
    if today < day:
        return TooEarly(today=today)
    if (await tx.execute(_IS_DONE, {"day": day})).one_or_none() is not None:
        return AlreadyDone()
    await exclude_changes(tx)
    if (await tx.execute(_CLAIM, {"day": day})).one_or_none() is None:
        return AlreadyDone()
    await tx.execute(_LOCK_BOTS, {"day": day})
    # Everybody waits for this transaction: whoever wants the new states reads them afterwards.
    turned = await tx.execute(_TURN, {"day": day, "reactivate_all": reactivate_all})
    bot_ids = turned.scalar_one()
    await tx.execute(_COUNT, {"day": day, "bots": len(bot_ids)})
    return ResetDone(bot_ids=bot_ids)


def _changes() -> str:
    """Return what writes {"field": [before, after]} of each field that a turn has changed.

    The document is put together as text: so it costs a fifth of what building it from JSON values does,
    and everybody waits for it.
    """
    shown = {
        "trading_day": "to_json({}.trading_day)",
        "is_active": "{}.is_active",
        "status": "to_json({}.status)",
        "halted_by": "to_json({}.halted_by)",
        "daily_pnl": "to_json({}.daily_pnl::text)",
        "daily_trades_count": "{}.daily_trades_count",
        "last_error_message": "to_json({}.last_error_message)",
    }
    parts = []
    for name, form in shown.items():
        # Two amounts may be equal and written differently; the trail tells it.
        old, new = (f"{row}.daily_pnl::text" if name == "daily_pnl" else f"{row}.{name}" for row in "bs")
        before, after = (f"coalesce(({form.format(row)})::text, 'null')" for row in "bs")
        parts.append(
            f"CASE WHEN {old} IS DISTINCT FROM {new}"
            f""" THEN '"{name}": [' || {before} || ', ' || {after} || ']' END"""
        )
    return f"('{{' || concat_ws(', ', {', '.join(parts)}) || '}}')::jsonb"


_TODAY = text("SELECT (clock_timestamp() AT TIME ZONE 'utc')::date")
_IS_DONE = text("SELECT day FROM daily_resets WHERE day = :day")
_CLAIM = text("""
    INSERT INTO daily_resets (day, done_at, bots_reset) VALUES (:day, clock_timestamp(), 0)
    ON CONFLICT DO NOTHING RETURNING day
""")
# Slots may change hands meanwhile, which locks bots too: always in id order.
_LOCK_BOTS = text("""
    SELECT count(*) FROM (
        SELECT bot_id FROM bot_states WHERE trading_day < :day ORDER BY bot_id FOR NO KEY UPDATE
    ) AS locked
""")
_TURN = text(f"""
    WITH b AS (
        SELECT s.*,
               -- Nobody whose brake is on is started by a setting.
               c.reactivate_daily AND (s.is_active OR :reactivate_all AND NOT EXISTS (
                   SELECT FROM halts h WHERE h.user_id IN (s.user_id, {EVERYONE})
               )) AS revived,
               coalesce(t.pnl, 0) + coalesce(a.pnl, 0) AS pnl,
               greatest(0, coalesce(t.trades, 0) + coalesce(a.trades, 0)) AS trades
        FROM bot_states s
        JOIN bot_configs c ON c.id = s.bot_id
        -- Bot by bot through their indexes: so it takes as long however many trades lie behind, and
        -- whatever the statistics believe of a day that has just begun.
        CROSS JOIN LATERAL (
            SELECT sum(realised_pnl_quote) AS pnl, count(*) AS trades
            FROM trades WHERE bot_id = s.bot_id AND trading_day = :day
        ) t
        CROSS JOIN LATERAL (
            SELECT sum(after - before) FILTER (WHERE field = 'daily_pnl') AS pnl,
                   sum(after - before) FILTER (WHERE field = 'daily_trades_count') AS trades
            FROM adjustments WHERE bot_id = s.bot_id AND trading_day = :day
        ) a
        WHERE s.trading_day < :day
    ), turned AS (
        UPDATE bot_states s
        SET version = s.version + 1,
            trading_day = :day,
            daily_pnl = b.pnl,
            daily_trades_count = b.trades,
            last_error_message = NULL,
            status = 'stopped',
            is_active = s.is_active OR b.revived,
            halted_by = CASE WHEN b.revived THEN NULL ELSE s.halted_by END
        FROM b WHERE s.bot_id = b.bot_id
        RETURNING s.bot_id, s.user_id, s.version, s.last_updated_at, {_changes()} AS changes, CASE
            WHEN s.is_active AND NOT b.is_active
                THEN 'started again by the setting that reactivates every bot'
            WHEN b.is_active AND b.halted_by = 'system' AND b.revived THEN 'the system''s halt ends'
            WHEN b.is_active AND b.halted_by = 'system' THEN 'stays halted: it may not be reactivated'
        END AS message
    ), logged AS (
        INSERT INTO bot_events (at, bot_id, user_id, version, cause, kind, changes, message)
        SELECT last_updated_at, bot_id, user_id, version, 'reset', 'day.turned', changes, message FROM turned
    )
    SELECT coalesce(array_agg(bot_id ORDER BY bot_id), '{{}}') FROM turned
""")  # noqa: S608 - built from column names
_COUNT = text("UPDATE daily_resets SET bots_reset = :bots WHERE day = :day")
