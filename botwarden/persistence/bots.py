"""Bots as their owners see and change them: one bot, one transaction.

Whoever changes a bot locks its row first (`lock_bot`), before any other table, and keeps the daily reset
out while it does. Every query has the owner in its WHERE: what is not there and what is not yours are the
same answer.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import anyio
import msgspec
from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from botwarden.errors import FieldError, Invalid, Locked, Missing, Refused, Stale
from botwarden.persistence.database import Transaction, broken_constraint
from botwarden.persistence.deleted_bots import note_deleted
from botwarden.persistence.order_tables import adjustments as ledger_adjustments
from botwarden.persistence.rows import BOT_COLUMNS, CONFIG_COLUMNS, STATE_COLUMNS, bot_of, config_of, state_of
from botwarden.persistence.tables import SLOT_COUNT, bot_configs, bot_progress, bot_states
from botwarden.persistence.transitions import Transition, plain, share_reset_lock, write_transitions
from botwarden.trading.bot import ApiKeyId, BotConfig, BotId, BotState, Cause, UserId, Venue
from botwarden.trading.decisions import Decision

#: What the ledger counts besides trades, when its owner writes it.
ADJUSTABLE = ("daily_pnl", "daily_trades_count", "current_position_size_coins")


class NewBot(msgspec.Struct, frozen=True, kw_only=True):
    """A config that has no id yet; see `trading.bot.BotConfig` for its fields."""

    name: str
    symbol: str
    strategy: str
    strategy_params: dict[str, Any]
    timeframe: str
    venue: Venue
    api_key_id: ApiKeyId
    check_interval_seconds: int
    initial_capital: Decimal
    position_size_fixed: Decimal | None = None
    position_size_perc: Decimal | None = None
    stop_loss_perc: Decimal
    take_profit_perc: Decimal
    trailing_stop_perc: Decimal | None = None
    trailing_stop_active: bool = False
    max_daily_trades: int | None = None
    max_daily_loss_perc: Decimal | None = None
    daily_target_perc: Decimal | None = None
    reactivate_daily: bool = True
    exchange_protection: bool = False


class Bot(NamedTuple):
    """A bot with everything that is shown of it."""

    config: BotConfig
    state: BotState
    #: When its last evaluation finished.
    last_run_at: datetime | None


class LockWait(msgspec.Struct, frozen=True, kw_only=True):
    """How long, and how often, a locked row is asked for again."""

    within_s: float = 2.0
    first_s: float = 0.005
    longest_s: float = 0.1

    def delays(self, rng: random.Random) -> Iterator[float]:
        """Yield growing, jittered delays that add up to at most `within_s`."""
        left, delay = self.within_s, self.first_s
        while left > 0:
            jittered = min(left, delay * rng.uniform(0.5, 1.5))
            yield jittered
            left -= jittered
            delay = min(delay * 2, self.longest_s)


_JITTER = random.Random()  # noqa: S311 - spreads retries, guards nothing
_PATIENT = LockWait()


async def create_bot(tx: Transaction, user_id: UserId, bot: NewBot) -> Bot:
    """Create a stopped bot; its first trading day is the database's present one.

    Raises:
        Invalid: the API key is not this user's, or not of this venue.
    """
    await share_reset_lock(tx)
    given = msgspec.structs.asdict(bot)
    try:
        result = await tx.execute(
            insert(bot_configs).values(user_id=user_id, **given).returning(*CONFIG_COLUMNS)
        )
    except IntegrityError as error:
        raise _named(error) from error
    config = config_of(result.one())
    values = {"bot_id": config.id, "user_id": user_id}
    await tx.execute(_CREATE_STATE, values)
    await tx.execute(_CREATE_REST, values)
    return Bot(*bot_of((await tx.execute(_BOT, values)).one()), last_run_at=None)


async def read_bot(tx: Transaction, user_id: UserId, bot_id: BotId) -> Bot:
    """Return the bot, without a lock. Raises `Missing`."""
    query = _BOTS.where(bot_configs.c.user_id == user_id, bot_configs.c.id == bot_id)
    row = (await tx.execute(query)).one_or_none()
    if row is None:
        raise Missing
    return _bot(row)


async def list_bots(
    tx: Transaction,
    user_id: UserId,
    *,
    status: str | None = None,
    symbol: str | None = None,
    strategy: str | None = None,
    after_id: int = 0,
    limit: int = 100,
) -> list[Bot]:
    """Return the user's bots beyond `after_id` that match every filter, in id order."""
    query = _BOTS.where(bot_configs.c.user_id == user_id, bot_configs.c.id > after_id)
    for column, wanted in (
        (bot_states.c.status, status),
        (bot_configs.c.symbol, symbol),
        (bot_configs.c.strategy, strategy),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return [_bot(row) for row in await tx.execute(query.order_by(bot_configs.c.id).limit(limit))]


async def lock_bot(
    tx: Transaction,
    user_id: UserId,
    bot_id: BotId,
    *,
    wait: LockWait = _PATIENT,
    rng: random.Random = _JITTER,
) -> tuple[BotConfig, BotState]:
    """Return the bot with its row locked until the transaction ends.

    A locked row is asked for again and again rather than queued for, so that a request never stands
    between a group commit and its rows.

    Locks: the reset's advisory lock (shared), then the row.

    Raises:
        Missing: not there, or not yours.
        Locked: it stayed locked for `wait.within_s`.
    """
    await share_reset_lock(tx)
    delays = wait.delays(rng)
    while True:
        values = {"user_id": user_id, "bot_id": bot_id}
        if (await tx.execute(_LOCK, values)).one_or_none() is not None:
            return bot_of((await tx.execute(_BOT, values)).one())
        if (await tx.execute(_EXISTS, values)).one_or_none() is None:
            raise Missing
        delay = next(delays, None)
        if delay is None:
            raise Locked
        await anyio.sleep(delay)


async def save_bot(
    tx: Transaction, before: BotState, decision: Decision, *, adjustments: bool = False
) -> BotState:
    """Write the decision's state; return it with its new version and the database's time.

    Nothing is written when nothing changes. With `adjustments` each of `ADJUSTABLE` that changes leaves a
    row in the ledger: so it is for an owner's PUT.

    Locks: needs the row's.

    Raises:
        Stale: the row is not what `before` says; the lock was not held.
    """
    if decision.state == before:
        return before
    transition = Transition(
        before=before,
        after=decision.state,
        cause=decision.cause,
        kind=decision.kind,
        message=decision.message,
    )
    state = await _write(tx, transition)
    if adjustments:
        await _record_adjustments(tx, before, state)
    return state


async def update_config(
    tx: Transaction, before: BotConfig, after: BotConfig, state: BotState
) -> tuple[BotConfig, BotState]:
    """Write a changed config. The state gets a new version, so that the holder takes notice.

    Locks: needs the row's.

    Raises:
        Invalid: the API key is not this user's, or not of this venue.
    """
    if before == after:
        return before, state
    values = {name: getattr(after, name) for name in NewBot.__struct_fields__}
    differing = {
        name: [plain(getattr(before, name)), plain(getattr(after, name))]
        for name in NewBot.__struct_fields__
        if getattr(before, name) != getattr(after, name)
    }
    try:
        result = await tx.execute(
            update(bot_configs)
            .where(bot_configs.c.id == before.id, bot_configs.c.user_id == before.user_id)
            .values(**values, updated_at=text("clock_timestamp()"))
            .returning(*CONFIG_COLUMNS)
        )
    except IntegrityError as error:
        raise _named(error) from error
    transition = Transition(
        before=state, after=state, cause=Cause.OWNER, kind="config.changed", also=differing
    )
    return config_of(result.one()), await _write(tx, transition)


async def delete_bot(tx: Transaction, state: BotState) -> None:
    """Delete a bot; its orders, trades and events stay in the books.

    Locks: needs the row's.

    Raises:
        Refused: it is active, holds a position, or has an order in flight or at rest.
    """
    if state.is_active:
        raise Refused("Stop the bot before deleting it.")
    if state.resting_list_number is not None:
        raise Refused("Orders of the bot rest at the exchange: try again when they are cancelled.")
    if state.in_position:
        raise Refused("The bot holds a position: close it before deleting the bot.")
    if state.open_order_number is not None:
        raise Refused("An order of the bot is in flight: try again when it is settled.")
    await tx.execute(
        bot_configs.delete().where(bot_configs.c.id == state.bot_id, bot_configs.c.user_id == state.user_id)
    )
    await note_deleted(tx, state.user_id, state.bot_id)


async def read_states(tx: Transaction, bot_ids: Sequence[BotId]) -> list[BotState]:
    """Return the states of those of the bots that exist, in id order. Not bound to an owner."""
    result = await tx.execute(
        select(*STATE_COLUMNS).where(bot_states.c.bot_id.in_(bot_ids)).order_by(bot_states.c.bot_id)
    )
    return [state_of(row) for row in result]


async def _write(tx: Transaction, transition: Transition) -> BotState:
    written = await write_transitions(tx, [transition])
    if transition.before.bot_id not in written:
        raise Stale
    return written[transition.before.bot_id]


async def _record_adjustments(tx: Transaction, before: BotState, after: BotState) -> None:
    rows = [
        {
            "bot_id": after.bot_id,
            "field": name,
            "before": getattr(before, name),
            "after": getattr(after, name),
            "trading_day": after.trading_day,
            "version": after.version,
            "created_at": after.last_updated_at,
        }
        for name in ADJUSTABLE
        if getattr(before, name) != getattr(after, name)
    ]
    if rows:
        await tx.execute(insert(ledger_adjustments), rows)


def _bot(row: Any) -> Bot:
    return Bot(*bot_of(row), last_run_at=row.last_run_at)


def _named(error: IntegrityError) -> Exception:
    if broken_constraint(error) == "fk_bot_configs_own_api_key":
        return Invalid(FieldError("api_key_id", "there is no such API key of yours for this venue"))
    return error


_BOTS = (
    select(*BOT_COLUMNS, bot_progress.c.last_run_at)
    .join(bot_states, bot_states.c.bot_id == bot_configs.c.id)
    .outerjoin(bot_progress, bot_progress.c.bot_id == bot_configs.c.id)
)
_BOT = (
    select(*BOT_COLUMNS)
    .join(bot_states, bot_states.c.bot_id == bot_configs.c.id)
    .where(bot_configs.c.user_id == bindparam("user_id"), bot_configs.c.id == bindparam("bot_id"))
)
_EXISTS = select(bot_states.c.bot_id).where(
    bot_states.c.user_id == bindparam("user_id"), bot_states.c.bot_id == bindparam("bot_id")
)
_LOCK = _EXISTS.with_for_update(key_share=True, skip_locked=True)
_CREATE_STATE = text(f"""
    INSERT INTO bot_states (bot_id, user_id, slot, trading_day, status, halted_by)
    VALUES (:bot_id, :user_id, CAST(:bot_id AS bigint) % {SLOT_COUNT},
            (clock_timestamp() AT TIME ZONE 'utc')::date, 'stopped', 'owner')
""")  # noqa: S608 - built from a constant
_CREATE_REST = text("""
    WITH progress AS (INSERT INTO bot_progress (bot_id) VALUES (:bot_id))
    INSERT INTO bot_events (at, bot_id, user_id, version, cause, kind, changes)
    SELECT last_updated_at, bot_id, user_id, version, 'owner', 'bot.created', '{}'
    FROM bot_states WHERE bot_id = :bot_id AND user_id = :user_id
""")
