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
from botwarden.persistence.rows import STATE_COLUMNS, state_of
from botwarden.persistence.transitions import exclude_changes
from botwarden.trading.bot import BotState


class ResetDone(msgspec.Struct, frozen=True, kw_only=True):
    """The day is ours; these are the new states, in id order."""

    states: Sequence[BotState]


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
    rows = await tx.execute(_TURN, {"day": day, "reactivate_all": reactivate_all})
    states = sorted((state_of(row) for row in rows), key=lambda state: state.bot_id)
    await tx.execute(_COUNT, {"day": day, "bots": len(states)})
    return ResetDone(states=states)


#: What the trail may say has changed: every field that a turn writes.
_TURNED = ("trading_day", "is_active", "status", "halted_by", "daily_trades_count", "last_error_message")
_DIFFERENCES = ", ".join(f"('{name}', to_jsonb(b.{name}), to_jsonb(s.{name}))" for name in _TURNED)
_RETURNED = ", ".join(f"s.{column.key}" for column in STATE_COLUMNS)
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
    WITH traded AS (
        SELECT bot_id, sum(realised_pnl_quote) AS pnl, count(*) AS trades
        FROM trades WHERE trading_day = :day GROUP BY bot_id
    ), adjusted AS (
        SELECT bot_id,
               sum(after - before) FILTER (WHERE field = 'daily_pnl') AS pnl,
               sum(after - before) FILTER (WHERE field = 'daily_trades_count') AS trades
        FROM adjustments WHERE trading_day = :day GROUP BY bot_id
    ), b AS (
        SELECT s.*,
               -- Nobody whose brake is on is started by a setting.
               c.reactivate_daily AND (s.is_active OR :reactivate_all AND NOT EXISTS (
                   SELECT FROM halts h WHERE h.user_id IN (s.user_id, {EVERYONE})
               )) AS revived,
               coalesce(t.pnl, 0) + coalesce(a.pnl, 0) AS pnl,
               greatest(0, coalesce(t.trades, 0) + coalesce(a.trades, 0)) AS trades
        FROM bot_states s
        JOIN bot_configs c ON c.id = s.bot_id
        LEFT JOIN traded t ON t.bot_id = s.bot_id
        LEFT JOIN adjusted a ON a.bot_id = s.bot_id
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
        RETURNING {_RETURNED}, (
            SELECT coalesce(jsonb_object_agg(f.name, jsonb_build_array(f.old, f.new)), '{{}}')
            FROM (VALUES
                {_DIFFERENCES}, ('daily_pnl', to_jsonb(b.daily_pnl::text), to_jsonb(s.daily_pnl::text))
            ) AS f(name, old, new)
            WHERE f.old IS DISTINCT FROM f.new
        ) AS changes, CASE
            WHEN s.is_active AND NOT b.is_active
                THEN 'started again by the setting that reactivates every bot'
            WHEN b.is_active AND b.halted_by = 'system' AND b.revived THEN 'the system''s halt ends'
            WHEN b.is_active AND b.halted_by = 'system' THEN 'stays halted: it may not be reactivated'
        END AS message
    ), logged AS (
        INSERT INTO bot_events (at, bot_id, user_id, version, cause, kind, changes, message)
        SELECT last_updated_at, bot_id, user_id, version, 'reset', 'day.turned', changes, message FROM turned
    )
    SELECT * FROM turned
""")  # noqa: S608 - built from column names
_COUNT = text("UPDATE daily_resets SET bots_reset = :bots WHERE day = :day")
