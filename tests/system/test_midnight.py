"""A whole botwarden is down at midnight, and makes up for it."""

import anyio
import asyncpg
import pytest

from botwarden.persistence.embedded import EmbeddedServers
from tests.system.house import follow

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

FAST_MARKET = ("--speed", "300", "--seed", "7", "--bots")

#: The installation as it was left yesterday.
YESTERDAY = """
    UPDATE daily_resets SET day = day - 1;
    UPDATE bot_states SET trading_day = trading_day - 1, version = version + 1;
    UPDATE trades SET trading_day = trading_day - 1, executed_at = executed_at - interval '1 day';
    UPDATE adjustments SET trading_day = trading_day - 1
"""
LIMITED = """
    UPDATE bot_states SET status = 'paused (max_daily_trades reached)', halted_by = 'system',
           daily_trades_count = 7, version = version + 1
    WHERE bot_id = $1
"""
RESETS = "SELECT bot_id, changes FROM bot_events WHERE cause = 'reset' ORDER BY bot_id"
DAYS = "SELECT count(*) FROM daily_resets"
TRADES = """
    SELECT bot_id, count(*) AS trades FROM trades
    WHERE trading_day = (now() AT TIME ZONE 'utc')::date GROUP BY bot_id
"""


def with_database(data_dir, use):
    """Return what `use` makes of a connection, while nothing but the servers runs."""

    async def visit():
        async with EmbeddedServers.start(data_dir) as servers:
            connection = await asyncpg.connect(servers.database_url.replace("+asyncpg", ""))
            try:
                return await use(connection)
            finally:
                await connection.close()

    return anyio.run(visit)


def trades_of(states):
    return sum(state["daily_trades_count"] for state in states.values())


def runs(state):
    """Whether the bot has begun to work."""
    return state is not None and state["status"].startswith(("running", "waiting"))


def test_a_process_that_was_down_at_midnight_resets_each_bot_once(up, data_dir):
    """Positions stay, who was stopped stays stopped, who was halted runs, and no start resets again."""
    first = up(*FAST_MARKET, "4")
    account = first.demo_account
    with first.client(account) as client:
        follow(client, lambda states: trades_of(states) >= 8)
        bots = [bot["id"] for bot in client.get("/bots").json()["items"]]
        halted, stopped, *others = bots
        client.post(f"/bots/{stopped}/stop").raise_for_status()
    first.kill()

    async def leave_it_to_yesterday(connection):
        await connection.execute(YESTERDAY)
        await connection.execute(LIMITED, halted)
        return {row["bot_id"]: dict(row) for row in await connection.fetch("SELECT * FROM bot_states")}

    before = with_database(data_dir, leave_it_to_yesterday)

    for _ in range(2):
        running = up(*FAST_MARKET, "3")  # One is stopped, and no other shall be made for it.
        with running.client(account) as client:
            follow(client, lambda states: all(runs(states.get(bot)) for bot in (halted, *others)))
            state = client.get(f"/bot-states/{stopped}").json()
            assert (state["status"], state["halted_by"]) == ("stopped", "owner")
            assert state["in_position"] == before[stopped]["in_position"]
        running.kill()

    async def look(connection):
        traded = {row["bot_id"]: row["trades"] for row in await connection.fetch(TRADES)}
        counted = await connection.fetch("SELECT bot_id, daily_trades_count FROM bot_states")
        return (
            [row["bot_id"] for row in await connection.fetch(RESETS)],
            await connection.fetchval(DAYS),
            {row["bot_id"]: row["daily_trades_count"] - traded.get(row["bot_id"], 0) for row in counted},
        )

    reset, days, uncounted = with_database(data_dir, look)
    assert reset == sorted(bots)
    assert days == 2
    assert uncounted == dict.fromkeys(bots, 0)
