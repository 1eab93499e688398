"""When each bot last finished an evaluation: written often, in batches, without a new version."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text

from botwarden.persistence.database import Database
from botwarden.trading.bot import BotId


async def write_progress(database: Database, last_run_at: Mapping[BotId, datetime]) -> None:
    """Move the bots' times on, never back; bots that are gone are passed over. Raises `Unavailable`.

    A crash of the server may lose the last of them: nothing is decided by these times.
    """
    if not last_run_at:
        return
    bots = sorted(last_run_at.items())
    async with database.begin() as tx:
        await tx.execute(_NO_WAIT_FOR_DISK)
        await tx.execute(_WRITE, {"bot_ids": [bot_id for bot_id, _ in bots], "times": [at for _, at in bots]})


_NO_WAIT_FOR_DISK = text("SET LOCAL synchronous_commit = off")
_WRITE = text("""
    WITH held AS MATERIALIZED (
        SELECT g.bot_id, g.at
        FROM unnest(CAST(:bot_ids AS bigint[]), CAST(:times AS timestamptz[])) AS g(bot_id, at)
        JOIN bot_progress p ON p.bot_id = g.bot_id
        ORDER BY p.bot_id FOR NO KEY UPDATE OF p
    )
    UPDATE bot_progress p SET last_run_at = held.at FROM held
    WHERE p.bot_id = held.bot_id AND (p.last_run_at IS NULL OR p.last_run_at < held.at)
""")
