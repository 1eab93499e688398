"""Which bots are no more: for watchers who were away when they were told."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import text

from botwarden.persistence.database import Transaction
from botwarden.trading.bot import BotId, UserId

#: Nobody resumes a stream after a longer time.
KEPT_FOR = timedelta(days=30)


async def note_deleted(tx: Transaction, user_id: UserId, bot_id: BotId) -> None:
    """Remember that the bot is deleted by this transaction."""
    await tx.execute(_NOTE, {"user_id": user_id, "bot_id": bot_id})


async def read_deleted(tx: Transaction, user_id: UserId, *, since: datetime) -> Sequence[BotId]:
    """Return the user's bots that were deleted since then (aware), oldest first."""
    return list((await tx.execute(_READ, {"user_id": user_id, "since": since})).scalars())


async def purge(tx: Transaction) -> int:
    """Forget what was kept long enough; return how many."""
    return (await tx.execute(_PURGE, {"kept_for": KEPT_FOR})).rowcount


_NOTE = text("""
    INSERT INTO deleted_bots (bot_id, user_id, deleted_at) VALUES (:bot_id, :user_id, clock_timestamp())
""")
_READ = text("""
    SELECT bot_id FROM deleted_bots WHERE user_id = :user_id AND deleted_at >= :since ORDER BY deleted_at
""")
_PURGE = text("DELETE FROM deleted_bots WHERE deleted_at <= now() - CAST(:kept_for AS interval)")
