"""What many requests wait for costs trading nothing."""

from itertools import repeat

import anyio
import asyncpg
import pytest
from sqlalchemy import make_url

from chaos.world import until
from tests.system.fleet import PATIENCE_S, Fleet, Hired, trades

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(180)]

CROWD = 60
API_CONNECTIONS = 10


async def knock(fleet: Fleet, bot: Hired) -> None:
    """Ask for a change of a bot again and again."""
    async with fleet.client(fleet.world.replicas[0]) as client:
        for _ in repeat(None):
            await client.put(f"/bot-states/{bot.id}", json={"last_error_message": "knock"})


async def count(fleet: Fleet, query: str, *words: object) -> int:
    """Return the number that a query answers with."""
    [row] = await fleet.sql(query, *words)
    return int(row[0])


async def test_requests_that_wait_for_a_row_hold_up_no_trading(fleet):
    """While every connection of the API waits for a locked bot, another bot goes on trading."""
    busy, locked = await fleet.hire(), await fleet.hire()
    await fleet.start(busy)
    await fleet.until(trades(1), busy)
    before = await count(fleet, _TRADES, busy.id)
    url = make_url(fleet.world.settings.database_url).set(drivername="postgresql")
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))
    async with connection.transaction(), anyio.create_task_group() as crowd:
        await connection.execute("SELECT 1 FROM bot_states WHERE bot_id = $1 FOR UPDATE", locked.id)
        for _ in range(CROWD):
            crowd.start_soon(knock, fleet, locked)

        async def is_crowded() -> bool:
            return await count(fleet, _API_SESSIONS) == API_CONNECTIONS

        async def has_traded() -> bool:
            return await count(fleet, _TRADES, busy.id) >= before + 3

        assert await until(is_crowded, within_s=PATIENCE_S)
        assert await until(has_traded, within_s=PATIENCE_S)
        crowd.cancel_scope.cancel()
    await connection.close()


_TRADES = "SELECT count(*) FROM trades WHERE bot_id = $1"
_API_SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'botwarden api' AND state LIKE '%transaction%'
"""
