"""Brings the schema to head, and tells where it is.

All steps run in one transaction under an advisory lock: several replicas may try at the same time, and a
failure changes nothing.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from botwarden.errors import Unavailable
from botwarden.persistence.database import driver_url

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK_KEY = 0x6D69_6772_6174


async def upgrade(url: str, report: Callable[[str], None]) -> None:
    """Bring the database to head; each step is reported in one line. Raises `Unavailable`."""
    engine = create_async_engine(driver_url(url), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"))
            await connection.run_sync(_upgrade, report)
    except (OSError, asyncpg.PostgresError) as error:
        raise Unavailable("The database cannot be reached.") from error
    finally:
        await engine.dispose()


async def current(engine: AsyncEngine) -> str | None:
    """Return the revision that the schema is at, or None when there is none. Raises `Unavailable`."""
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_current)
    except (OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable("The database cannot be reached.") from error


@lru_cache
def head() -> str:
    """Return the revision that this program needs."""
    revision = ScriptDirectory(str(_SCRIPTS)).get_current_head()
    if revision is None:
        raise LookupError("the package has no migrations")
    return revision


def _upgrade(connection: Connection, report: Callable[[str], None]) -> None:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["report"] = report
    command.upgrade(config, "head")


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
