"""The migrations make exactly the schema that the program knows, and what must always be there."""

import re

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from botwarden.persistence import migrate, tables
from botwarden.persistence.database import Database
from botwarden.persistence.installation import read_tag, renew_tag
from tests.persistence.examples import rows, scalar

pytestmark = pytest.mark.anyio


def differences(connection: Connection) -> list[object]:
    def known(name: str | None, kind: str, _parents: object) -> bool:
        return not (kind == "table" and str(name).startswith("bot_events_"))

    context = MigrationContext.configure(
        connection, opts={"include_name": known, "compare_server_default": True, "compare_type": True}
    )
    return list(compare_metadata(context, tables.installation.metadata))


async def test_the_migrated_schema_is_the_one_in_tables(database):
    """Tables, columns, types, defaults, keys and indexes are the same on both sides."""
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_the_comparison_would_notice(database):
    """A column more is a difference."""
    async with database.begin() as tx:
        await tx.execute(text("ALTER TABLE users ADD COLUMN surplus integer"))
    async with database.engine.connect() as connection:
        assert len(await connection.run_sync(differences)) == 1


async def test_every_check_is_there_in_the_same_words(database):
    """Constraints that compare nothing but names are compared here: name and number of every check."""
    found = await rows(
        database,
        """SELECT c.relname AS on_table, k.conname AS name FROM pg_constraint k
           JOIN pg_class c ON c.oid = k.conrelid
           WHERE k.contype = 'c' AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace""",
    )
    expected = {
        (table.name, constraint.name)
        for table in tables.installation.metadata.tables.values()
        for constraint in table.constraints
        if type(constraint).__name__ == "CheckConstraint"
    }
    names = {(row.on_table, row.name) for row in found}
    assert {name for _, name in names} == {
        f"ck_{table}_{name}" if not str(name).startswith("ck_") else name for table, name in expected
    }


async def test_the_schema_is_at_head_and_upgrading_again_changes_nothing(database, database_url):
    """Whoever upgrades what is at head reports no step."""
    assert await migrate.current(database.engine) == migrate.head()
    steps: list[str] = []
    await migrate.upgrade(database_url, steps.append)
    assert steps == []


async def test_an_empty_database_is_brought_to_head(database, database_url):
    """Every step is reported, and a database without a schema has no revision."""
    async with database.begin() as tx:
        await tx.execute(text("DROP SCHEMA public CASCADE"))
        await tx.execute(text("CREATE SCHEMA public"))
    assert await migrate.current(database.engine) is None
    steps: list[str] = []
    await migrate.upgrade(database_url, steps.append)
    assert steps[0] == "0001: The ground."
    fresh = Database.connect(database_url)
    assert await migrate.current(fresh.engine) == migrate.head()
    await fresh.close()


async def test_what_must_always_be_there_is_there(database):
    """One installation with its tag, and every slot, free."""
    async with database.begin() as tx:
        tag = await read_tag(tx)
        renewed = await renew_tag(tx)
        assert await read_tag(tx) == renewed != tag
    assert re.fullmatch("[a-z0-9]{6}", tag)
    assert re.fullmatch("[a-z0-9]{6}", renewed)
    assert await scalar(database, "SELECT count(*) FROM slots WHERE replica_id IS NULL AND term = 0") == 1024


def test_revisions_are_one_line_without_branches():
    """There is one head, and every revision has a short name."""
    scripts = ScriptDirectory(str(migrate._SCRIPTS))
    assert scripts.get_heads() == [migrate.head()]
    assert all(re.fullmatch(r"\d{4}", script.revision) for script in scripts.walk_revisions())
