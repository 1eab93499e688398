"""A database of an older release, with a past, is brought to head under the replicas that still use it."""

import json
from pathlib import Path

import anyio
import asyncpg
import pytest
from alembic.script import ScriptDirectory

from botwarden.errors import Locked
from botwarden.persistence import bots, migrate, slots
from botwarden.persistence.commits import Committed
from botwarden.persistence.database import Database
from botwarden.persistence.ledger import read_books
from botwarden.persistence.open_orders import read_open_orders
from botwarden.persistence.resets import ResetDone, reset_day
from botwarden.persistence.tables import SLOT_COUNT
from botwarden.trading.bot import UserId
from tests.persistence.examples import bought, commit_all, settling

pytestmark = pytest.mark.anyio

#: What an installation of the first release had written; later releases accept it as well.
PAST = (Path(__file__).parent / "an_installation_of_0001.sql").read_text("utf-8")

#: In an order in which rows may be written.
TABLES = (
    *("users", "sessions", "api_keys", "bot_configs", "bot_states", "bot_progress", "orders", "fills"),
    *("trades", "adjustments", "bot_events", "daily_resets", "replicas", "halts", "idempotency_keys"),
)

REVISIONS = sorted(script.revision for script in ScriptDirectory(str(migrate._SCRIPTS)).walk_revisions())

COLUMNS = """
    SELECT c.table_name, c.column_name, c.data_type, c.is_nullable = 'YES' AS may_be_null,
           c.column_default IS NOT NULL OR c.is_identity = 'YES' AS has_default
    FROM information_schema.columns c
    JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
      AND c.table_name !~ '^(alembic_version|bot_events_.*)$'
"""


class Old:
    """A database at an older revision, and a plain connection to it."""

    def __init__(self, url, link):
        self.url = url
        self.link = link

    async def upgrade(self, to="head"):
        """Return the lines that were reported."""
        lines = []
        await migrate.upgrade(self.url, lines.append, to=to)
        return lines

    async def revision(self):
        return await self.link.fetchval("SELECT version_num FROM alembic_version")

    async def everything(self):
        """Return the rows of each table, as JSON, sorted."""
        return {
            table: [
                json.loads(row["row"])
                for row in await self.link.fetch(f"SELECT to_jsonb(t)::text AS row FROM {table} t ORDER BY 1")  # noqa: S608 - a test's own names
            ]
            for table in TABLES
        }

    async def columns(self):
        """Return what each column is, by table and name."""
        return {(row["table_name"], row["column_name"]): row for row in await self.link.fetch(COLUMNS)}


@pytest.fixture
async def old(clerk):
    """A database without a schema."""
    await clerk.execute("CREATE DATABASE test_old")
    url = clerk.url("test_old")
    link = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
    yield Old(url, link)
    await link.close()
    await clerk.execute("DROP DATABASE test_old WITH (FORCE)")


@pytest.fixture
def hasty(monkeypatch):
    """Nobody waits long for a lock, and it is tried twice."""
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT_MS", 30)
    monkeypatch.setattr(migrate, "PAUSES_S", (0.0,))


@pytest.fixture
async def today_s_code(old):
    """The present door to that database."""
    door = Database.connect(old.url)
    yield door
    await door.close()


@pytest.mark.parametrize("revision", REVISIONS[:-1])
async def test_every_row_is_still_there(old, revision):
    """Each row of each table has what it had, and new fields that say nothing."""
    await old.upgrade(revision)
    await old.link.execute(PAST)
    before = await old.everything()
    assert all(before.values()), "there is something in each table"
    assert len(await old.upgrade()) == len(REVISIONS) - REVISIONS.index(revision) - 1
    after = await old.everything()
    for table, rows in before.items():
        known = rows[0].keys()
        assert [{name: row[name] for name in known} for row in after[table]] == rows
        for row in after[table]:
            new = {name: value for name, value in row.items() if name not in known}
            assert set(new.values()) <= {None, False}, table


async def test_the_present_code_goes_on_with_it(old, today_s_code):
    """Bots are read, taken over and reset; the order that was in flight is booked, and the books agree."""
    await old.upgrade("0001")
    await old.link.execute(PAST)
    await old.upgrade()
    async with today_s_code.begin() as tx:
        holding, trading = await bots.list_bots(tx, UserId(1))
        assert (holding.state.in_position, holding.state.resting_list_number) == (True, None)
        assert not holding.config.exchange_protection
        me = await slots.register_replica(tx, "new")
        await slots.take_slots(tx, me, range(SLOT_COUNT))
        loaded = await slots.load_bots(tx, slots=range(SLOT_COUNT), holder=me)
        order = (await read_open_orders(tx, [trading.config.id]))[trading.config.id]
    state = loaded[1][1]
    assert state.term > trading.state.term
    [outcome] = await commit_all(
        today_s_code,
        settling(trading, state, order, bought(), in_position=True, entry_price=order.decided_price_quote,
                 current_position_size_coins=bought().fills[0].quantity_base),
    )  # fmt: skip
    assert isinstance(outcome, Committed)
    async with today_s_code.begin() as tx:
        day = await old.link.fetchval("SELECT (now() AT TIME ZONE 'utc')::date")
        assert await reset_day(tx, day) == ResetDone(bot_ids=[holding.config.id, trading.config.id])
    async with today_s_code.read() as tx:
        for book in await read_books(tx):
            assert (book.daily_pnl, book.daily_trades_count) == (book.booked_pnl, book.booked_count)
            assert book.held_base == book.booked_base


@pytest.mark.parametrize("revision", REVISIONS[:-1])
async def test_what_an_older_release_writes_is_accepted(old, revision):
    """Its rows, written without the columns that it does not know, pass every constraint of head."""
    await old.upgrade(revision)
    await old.link.execute(PAST)
    columns, rows = await old.columns(), await old.everything()
    await old.upgrade()
    await old.link.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE")
    for table in TABLES:
        known = ", ".join(name for owner, name in columns if owner == table)
        await old.link.execute(
            f"INSERT INTO {table} ({known})"  # noqa: S608 - a test's own names
            f" SELECT {known} FROM jsonb_populate_recordset(NULL::{table}, $1::jsonb)",
            json.dumps(rows[table]),
        )
    assert {table: len(found) for table, found in (await old.everything()).items()} == {
        table: len(found) for table, found in rows.items()
    }
    changed = "UPDATE bot_states SET version = version + 1, daily_trades_count = daily_trades_count + 1"
    assert await old.link.execute(changed) == "UPDATE 2"


async def test_steps_only_add(old):
    """No column goes, changes its name or type, or is asked of whoever does not know it."""
    await old.upgrade(REVISIONS[0])
    before = await old.columns()
    for revision in REVISIONS[1:]:
        await old.upgrade(revision)
        after = await old.columns()
        for key, column in before.items():
            assert after.get(key, {}).get("data_type") == column["data_type"], (revision, key)
            assert after[key]["may_be_null"] >= column["may_be_null"], (revision, key)
            assert after[key]["has_default"] >= column["has_default"], (revision, key)
        old_tables = {table for table, _ in before}
        for table, name in after.keys() - before.keys():
            added = after[table, name]
            assert table not in old_tables or added["may_be_null"] or added["has_default"], (revision, name)
        before = after


@pytest.mark.usefixtures("hasty")
async def test_a_step_gives_way_to_who_holds_a_lock(old):
    """After a few tries nothing is changed, and one line tells so; afterwards it works."""
    await old.upgrade("0001")
    await old.link.execute(PAST)
    tried = []
    async with old.link.transaction():
        await old.link.execute("UPDATE bot_states SET version = version + 1")
        with pytest.raises(Locked, match="Nothing was changed") as refused:
            await migrate.upgrade(old.url, tried.append)
        assert "\n" not in str(refused.value)
        assert await old.revision() == "0001"
    assert len(tried) == len(migrate.PAUSES_S), "each further try is told, and no step that came to nothing"
    assert (await old.upgrade())[-1].startswith(REVISIONS[-1])
    assert await old.revision() == migrate.head()


@pytest.mark.usefixtures("hasty")
async def test_a_lock_that_is_let_go_in_time_is_waited_for(old, monkeypatch):
    """The steps are tried again, and each is told once."""
    monkeypatch.setattr(migrate, "PAUSES_S", (0.0,) * 500)
    await old.upgrade("0001")
    lines, met = [], anyio.Event()

    def report(line):
        lines.append(line)
        met.set()

    async with anyio.create_task_group() as tasks:
        held = old.link.transaction()
        await held.start()
        await old.link.execute("LOCK TABLE bot_states IN ROW EXCLUSIVE MODE")
        tasks.start_soon(migrate.upgrade, old.url, report)
        await met.wait()
        await held.rollback()
    steps = [line for line in lines if not line.startswith("Somebody holds a lock")]
    assert len(lines) > len(steps)
    assert [line[:4] for line in steps] == REVISIONS[1:]
