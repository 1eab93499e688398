"""Hot queries find their rows by an index, and updates of states stay within the page."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import ClauseElement, Executable, text
from sqlalchemy.ext.compiler import compiles

from botwarden.persistence import bots, open_orders, resets, slots, transitions, users
from botwarden.trading.bot import Cause
from tests.persistence.examples import add_bots, change, committed, scalar

pytestmark = pytest.mark.anyio

MANY = 5000


@pytest.fixture
async def crowded(database):
    """A database with many bots, orders, events and sessions, and the statistics of that."""
    [bot] = await add_bots(database)
    async with database.begin() as tx:
        columns = """user_id, name, symbol, strategy, strategy_params, timeframe, venue, api_key_id,
            check_interval_seconds, initial_capital, position_size_perc, stop_loss_perc, take_profit_perc,
            trailing_stop_active, reactivate_daily"""
        await tx.execute(
            text(f"""INSERT INTO bot_configs ({columns})
                     SELECT {columns} FROM bot_configs, generate_series(2, :n)"""),  # noqa: S608 - a test's own names
            {"n": MANY},
        )
        await tx.execute(
            text("""INSERT INTO bot_states (bot_id, user_id, slot, trading_day, term)
                    SELECT id, user_id, id % 1024, current_date, 1 FROM bot_configs c
                    WHERE NOT EXISTS (SELECT FROM bot_states s WHERE s.bot_id = c.id)""")
        )
        await tx.execute(
            text("""INSERT INTO orders (bot_id, number, user_id, api_key_id, venue, symbol, side, reason,
                        quantity_base, decided_price_quote, client_order_id, intended_at, status, settled_at)
                    SELECT bot_id, n, user_id, 1, 'paper', 'BTCUSDT', 'BUY', 'signal', 1, 1,
                           bot_id || '-' || n, now(), 'absent', now()
                    FROM bot_states, generate_series(1, 2) AS n""")
        )
        await tx.execute(
            text("""INSERT INTO sessions (user_id, token_hash, expires_at)
                    SELECT user_id, convert_to('token ' || bot_id, 'UTF8'), now() + interval '1 h'
                    FROM bot_states""")
        )
    async with database.read() as tx:
        await tx.execute(text("ANALYZE"))
    return database, bot


class Explain(Executable, ClauseElement):
    """The plan of a query instead of its rows."""

    inherit_cache = False

    def __init__(self, query):
        self.query = query


@compiles(Explain)
def _explain(element, compiler, **options):
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.query, **options)}"


async def plan(database, query, **values: Any) -> list[dict[str, Any]]:
    """Return every node of the query's plan."""
    async with database.begin() as tx:
        explained = (await tx.execute(Explain(query), values)).scalar_one()
    plans = json.loads(explained) if isinstance(explained, str) else explained
    return list(nodes(plans[0]["Plan"]))


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from nodes(child)


def scanned(found: list[dict[str, Any]]) -> set[str]:
    """Return the tables that are read from one end to the other."""
    return {node["Relation Name"] for node in found if node["Node Type"] == "Seq Scan"}


async def test_a_group_commit_reads_only_its_rows(crowded):
    """The one statement of a commit touches the rows of its batch, by key."""
    database, bot = crowded
    same = transitions.Transition(before=bot.state, after=bot.state, cause=Cause.API, kind="x")
    given = transitions._encode([transitions._given(same)]).decode()
    found = await plan(database, transitions._WRITE, given=given, bot_ids=[bot.config.id])
    assert "bot_states" not in scanned(found)
    assert any(node.get("Index Name") == "pk_bot_states" for node in found)


async def test_single_bots_and_sessions_are_found_by_key(crowded):
    """What every request asks is answered by an index."""
    database, bot = crowded
    owner = {"user_id": bot.config.user_id, "bot_id": bot.config.id}
    for query, values in (
        (bots._BOT, owner),
        (bots._EXISTS, owner),
        (bots._LOCK, owner),
        (users._FIND_SESSION, {"token_hash": b"token 1"}),
        (open_orders._OPEN, {"bot_ids": [1, 2, 3]}),
        (open_orders._RESTING, {"bot_ids": [1, 2, 3]}),
        (slots._LOAD_BOTS, {"bot_ids": [1, 2, 3], "holder": 1}),
    ):
        assert scanned(await plan(database, query, **values)) <= {"users"}


async def test_unclaimed_bots_are_found_without_looking_at_the_others(crowded):
    """The sweep of every second for new bots costs nothing when there are none."""
    database, _ = crowded
    assert "bot_states" not in scanned(await plan(database, slots._NEW_BOTS_SLOTS, me=1))


async def test_the_turn_of_the_day_reads_each_bots_own_trades(crowded):
    """Years of trades make it no slower, also where statistics believe that no bot is to be reset."""
    database, _ = crowded
    async with database.begin() as tx:
        await tx.execute(
            text("""INSERT INTO trades (order_id, bot_id, user_id, symbol, side, reason, price_quote,
                        quantity_base, quantity_quote, fee_quote, realised_pnl_quote, executed_at,
                        trading_day)
                    SELECT id, bot_id, user_id, symbol, side, reason, 1, 1, 1, 0, 0,
                           date_trunc('day', now(), 'utc'), (now() AT TIME ZONE 'utc')::date
                    FROM orders""")
        )
    async with database.read() as tx:
        await tx.execute(text("ANALYZE"))
    day = await scalar(database, "SELECT (now() AT TIME ZONE 'utc')::date")
    for turned in (day, day + timedelta(days=1)):
        assert "trades" not in scanned(await plan(database, resets._TURN, day=turned, reactivate_all=False))


async def test_updates_of_states_touch_no_index(database):
    """Nothing that transitions change is indexed, so old versions are cleared away in the page itself."""
    [bot] = await add_bots(database)
    state = bot.state
    for _ in range(40):
        state = (await committed(database, change(bot, state))).state
    indexed = await scalar(
        database,
        """SELECT array_agg(DISTINCT a.attname::text ORDER BY a.attname::text) FROM pg_index i
           JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
           WHERE i.indrelid = 'bot_states'::regclass""",
    )
    assert indexed == ["bot_id", "slot", "user_id"]
    size = await scalar(database, "SELECT pg_relation_size('bot_states') / 8192")
    assert size <= 2, "forty versions of one row fit into a page or two"
