"""Snapshots for those who watch: the newest state of bots, read without a lock.

Every read has its owners in its WHERE, or gives the owner back with each row: a state never reaches the
watcher of another user.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, LargeBinary, Row, any_, bindparam, func, or_, select

from botwarden.persistence.broadcast import StateChanged
from botwarden.persistence.database import Transaction
from botwarden.persistence.tables import bot_states, sessions, users
from botwarden.trading.bot import BotId, UserId

_STATES = select(
    bot_states.c.user_id,
    bot_states.c.bot_id,
    bot_states.c.version,
    bot_states.c.status,
    bot_states.c.in_position,
    bot_states.c.entry_price,
    bot_states.c.daily_pnl,
    bot_states.c.daily_trades_count,
    bot_states.c.last_updated_at,
)
_OF_USER = _STATES.where(bot_states.c.user_id == bindparam("user_id"))
_OF_BOT = _OF_USER.where(bot_states.c.bot_id == bindparam("bot_id"))
_WATCHED = _STATES.where(
    or_(
        bot_states.c.user_id == any_(bindparam("user_ids", type_=ARRAY(BigInteger))),
        bot_states.c.bot_id == any_(bindparam("bot_ids", type_=ARRAY(BigInteger))),
    )
)
_GOOD_TOKENS = (
    select(sessions.c.token_hash)
    .join(users, users.c.id == sessions.c.user_id)
    .where(
        sessions.c.token_hash == any_(bindparam("token_hashes", type_=ARRAY(LargeBinary))),
        sessions.c.expires_at > func.now(),
        ~users.c.is_disabled,
    )
)


async def read_own_states(
    tx: Transaction, user_id: UserId, bot_id: BotId | None = None
) -> list[StateChanged]:
    """Return the state of this bot of the user, or of all; empty when there is none."""
    if bot_id is None:
        result = await tx.execute(_OF_USER, {"user_id": user_id})
    else:
        result = await tx.execute(_OF_BOT, {"user_id": user_id, "bot_id": bot_id})
    return [_state(row) for row in result]


async def read_watched_states(
    tx: Transaction, user_ids: Sequence[UserId], bot_ids: Sequence[BotId]
) -> list[StateChanged]:
    """Return the states of all bots of these users, and of these bots, in one query."""
    result = await tx.execute(_WATCHED, {"user_ids": list(user_ids), "bot_ids": list(bot_ids)})
    return [_state(row) for row in result]


async def read_good_tokens(tx: Transaction, token_hashes: Sequence[bytes]) -> set[bytes]:
    """Return which of these tokens still open a session of a user who is not disabled."""
    result = await tx.execute(_GOOD_TOKENS, {"token_hashes": list(token_hashes)})
    return set(result.scalars())


def _state(row: Row[Any, *tuple[Any, ...]]) -> StateChanged:
    return StateChanged(**row._asdict())
