"""Writing states: the one statement that changes what a bot is.

    given ──▶ held (locked in id order, only where version and term match) ──▶ updated ──▶ logged

A row that has moved on is not held, and nothing of its transition is written. Locks are always taken in
the order of bot ids, so transactions over many bots never deadlock with each other.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import dialect

from botwarden.persistence.database import Transaction
from botwarden.persistence.order_tables import GIVEN_UP
from botwarden.persistence.tables import bot_states
from botwarden.trading.bot import BotId, BotState, Cause

#: Every transaction that changes states holds this advisory lock shared; the daily reset and the putting on
#: of a brake hold it alone.
RESET_KEY = 0x626F74_7761_7264

#: What the audit trail tells of a state.
_AUDITED = (
    "trading_day",
    "is_active",
    "status",
    "halted_by",
    "in_position",
    "entry_price",
    "current_position_size_coins",
    "trailing_stop_price",
    "max_price_since_entry",
    "take_profit_price",
    "stop_loss_price",
    "daily_pnl",
    "daily_trades_count",
    "last_error_message",
    "close_requested_at",
    "resting_list_number",
    "leaving",
)

#: What a transition may write.
_WRITTEN = tuple(
    name
    for name in BotState.__struct_fields__
    if name not in ("bot_id", "user_id", "version", "term", "last_updated_at")
)


_audited = attrgetter(*_AUDITED)
_encode = msgspec.json.Encoder().encode


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """From one state of a bot to the next, with what the audit trail shall say."""

    before: BotState
    #: Its version and term do not matter.
    after: BotState
    cause: Cause
    kind: str
    message: str | None = None
    #: Number of the order that this settles: it must be open or resting still.
    settles: int | None = None
    #: It was given up with nothing executed, and is booked after all.
    late: bool = False
    #: What the trail says changed besides the state: {"field": [before, after]}.
    also: dict[str, list[Any]] = {}


async def share_reset_lock(tx: Transaction) -> None:
    """Keep the daily reset out until this transaction ends. Locks: before any bot. Raises `Locked`."""
    await tx.execute(_SHARE_RESET_LOCK)


async def exclude_changes(tx: Transaction) -> None:
    """Wait for every transaction that changes states, and keep others out until this one ends.

    Locks: before any bot. Raises `Locked`.
    """
    await tx.execute(_EXCLUDE_CHANGES)


async def write_transitions(tx: Transaction, transitions: Sequence[Transition]) -> dict[BotId, BotState]:
    """Write each transition whose row is still as it was; return the new states of those.

    At most one transition per bot. Locks: the bots' rows, in id order.
    """
    if not transitions:
        return {}
    # One document instead of an array for each column: the driver looks at every element of an array.
    given = _encode([_given(it) for it in transitions]).decode()
    bot_ids = [it.before.bot_id for it in transitions]
    result = await tx.execute(_WRITE, {"given": given, "bot_ids": bot_ids})
    written = {row.bot_id: (row.version, row.last_updated_at) for row in result}
    states: dict[BotId, BotState] = {}
    for it in transitions:
        if it.before.bot_id in written:
            version, at = written[it.before.bot_id]
            states[it.before.bot_id] = replace(
                it.after, version=version, term=it.before.term, last_updated_at=at
            )
    return states


def changes(before: BotState, after: BotState) -> dict[str, list[Any]]:
    """Return {"field": [before, after]} of what differs; amounts as plain decimal strings."""
    return {
        name: [plain(old), plain(new)]
        for name, old, new in zip(_AUDITED, _audited(before), _audited(after), strict=True)
        if old is not new and old != new
    }


def plain(value: object) -> object:
    """Return a value as the audit trail writes it."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date | datetime) else value


def _given(it: Transition) -> dict[str, Any]:
    return msgspec.structs.asdict(it.after) | {
        "bot_id": it.before.bot_id,
        "version": it.before.version,
        "term": it.before.term,
        "settles": it.settles,
        "late": it.late,
        "cause": it.cause,
        "kind": it.kind,
        "message": it.message,
        "changes": changes(it.before, it.after) | it.also,
    }


def _write_statement() -> str:
    compiler: Any = dialect()  # type: ignore[no-untyped-call]
    types = {
        "bot_id": "bigint",
        "version": "bigint",
        "term": "bigint",
        "settles": "integer",
        "late": "boolean",
        "cause": "text",
        "kind": "text",
        "message": "text",
        "changes": "jsonb",
    } | {name: bot_states.c[name].type.compile(compiler) for name in _WRITTEN}
    columns = ", ".join(f"{name} {type_}" for name, type_ in types.items())
    setting = ", ".join(f"{name} = h.{name}" for name in _WRITTEN)
    # Only names from above are put into the text; every value is a parameter.
    return f"""
        WITH held AS MATERIALIZED (
            SELECT g.* FROM json_to_recordset(CAST(:given AS json)) AS g({columns})
            JOIN bot_states s ON s.bot_id = g.bot_id
            WHERE s.bot_id = ANY(CAST(:bot_ids AS bigint[])) AND s.version = g.version AND s.term = g.term
              AND (g.settles IS NULL OR EXISTS (
                  SELECT FROM orders o
                  WHERE o.bot_id = g.bot_id AND o.number = g.settles
                    AND (o.status IN ('open', 'resting') OR g.late AND {GIVEN_UP})))
            ORDER BY s.bot_id
            FOR NO KEY UPDATE OF s
        ), updated AS (
            UPDATE bot_states s SET version = s.version + 1, {setting}
            FROM held h WHERE s.bot_id = h.bot_id
            RETURNING s.bot_id, s.user_id, s.version, s.last_updated_at, h.cause, h.kind, h.changes, h.message
        ), logged AS (
            INSERT INTO bot_events (at, bot_id, user_id, version, cause, kind, changes, message)
            SELECT last_updated_at, bot_id, user_id, version, cause, kind, changes, message
            FROM updated
        )
        SELECT bot_id, version, last_updated_at FROM updated
    """  # noqa: S608 - built from column names alone


_WRITE = text(_write_statement())
_EXCLUDE_CHANGES = text(f"SELECT pg_advisory_xact_lock({RESET_KEY})")
_SHARE_RESET_LOCK = text(f"SELECT pg_advisory_xact_lock_shared({RESET_KEY})")
