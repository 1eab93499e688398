"""Brings the schema to head, and tells where it is.

All steps run in one transaction under an advisory lock: several replicas may try at the same time, and a
failure changes nothing.
"""

from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from botwarden.errors import Refused, Unavailable
from botwarden.persistence.database import driver_url

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK_KEY = 0x6D69_6772_6174
#: Source: PostgreSQL, appendix A (insufficient_privilege).
_NO_PRIVILEGE = "42501"


class Standing(Enum):
    """How a schema stands to this program."""

    HEAD = "head"
    #: None, or one that this program has steps for.
    OLDER = "older"
    #: At a revision that this program does not know: a later release made it.
    NEWER = "newer"


NEWER_THAN_THIS = "The schema is newer than this botwarden: a later release has migrated it."


async def upgrade(url: str, report: Callable[[str], None]) -> None:
    """Bring the database to head; each step is reported in one line.

    Raises:
        Unavailable: it cannot be reached, or does not let us in.
        Refused: its schema is newer than this program, or not ours to change.
    """
    engine = create_async_engine(driver_url(url), poolclass=NullPool)
    try:
        connection = await _opened(engine)
        try:
            async with connection.begin():
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"))
                await connection.run_sync(_upgrade, report)
        finally:
            await connection.close()
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _NO_PRIVILEGE:
            said = getattr(error.orig, "__cause__", None)
            raise Refused(f"The database does not let this user migrate: {said}.") from error
        raise
    finally:
        await engine.dispose()


def standing(revision: str | None) -> Standing:
    """Tell how a schema at this revision (None: there is none) stands to this program."""
    if revision == head():
        return Standing.HEAD
    return Standing.OLDER if revision is None or revision in _known() else Standing.NEWER


async def current(engine: AsyncEngine) -> str | None:
    """Return the revision that the schema is at, or None when there is none. Raises `Unavailable`."""
    connection = await _opened(engine)
    try:
        return await connection.run_sync(_current)
    except (OSError, DBAPIError) as error:
        raise Unavailable("The database cannot be reached.") from error
    finally:
        await connection.close()


@lru_cache
def head() -> str:
    """Return the revision that this program needs."""
    revision = ScriptDirectory(str(_SCRIPTS)).get_current_head()
    if revision is None:
        raise LookupError("the package has no migrations")
    return revision


@lru_cache
def _known() -> frozenset[str]:
    return frozenset(step.revision for step in ScriptDirectory(str(_SCRIPTS)).walk_revisions())


async def _opened(engine: AsyncEngine) -> AsyncConnection:
    try:
        return await engine.connect()
    except (OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable("The database cannot be reached.") from error


def _upgrade(connection: Connection, report: Callable[[str], None]) -> None:
    if standing(_current(connection)) is Standing.NEWER:
        raise Refused(NEWER_THAN_THIS)
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["report"] = report
    command.upgrade(config, "head")


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
