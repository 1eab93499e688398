"""Brings the schema to head, and tells where it is.

All steps run in one transaction under an advisory lock: several replicas may try at the same time, and a
failure changes nothing. Replicas of the previous release go on meanwhile. A step that alters a table waits
for whoever uses it, and everybody else then waits behind the step: so it waits shortly, gives way, and tries
again a few times.
"""

from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from pathlib import Path

import anyio
import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from botwarden.errors import Locked, Refused, Unavailable
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

#: No step waits longer for a table, and lets nobody wait longer behind it: half of what a replica's own
#: statements bear.
LOCK_TIMEOUT_MS = 1000

#: How long we wait for somebody else who migrates the same database.
OTHERS_WITHIN_S = 60

#: The pauses before all steps are tried again.
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)

#: A lock that was not to be had in time, and a deadlock.
_LOCKED = ("55P03", "40P01")


async def upgrade(url: str, report: Callable[[str], None], *, to: str = "head") -> None:
    """Bring the database to head, or to an older release's revision; each step is reported in one line.

    Raises:
        Locked: somebody held a lock that a step needs, again and again: nothing was changed.
        Unavailable: the database cannot be reached, does not let us in, or was lost.
        Refused: its schema is newer than this program, or not ours to change.
    """
    engine = create_async_engine(driver_url(url), poolclass=NullPool)
    try:
        for pause_s in (*PAUSES_S, None):
            steps: list[str] = []
            if await _try(engine, steps.append, to):
                for step in steps:
                    report(step)
                return
            if pause_s is not None:
                report(f"Somebody holds a lock that this needs; trying again in {pause_s:g} s.")
                await anyio.sleep(pause_s)
    finally:
        await engine.dispose()
    raise Locked(
        "Nothing was changed: another session holds a lock that a step needs. Try again, if need be when less"
        " is going on; pg_locks and pg_stat_activity tell who holds it."
    )


async def _try(engine: AsyncEngine, report: Callable[[str], None], to: str) -> bool:
    """Return whether the steps stand; false when one of them met a lock."""
    connection = await _opened(engine)
    try:
        async with connection.begin():
            await connection.execute(text("SET LOCAL statement_timeout = 0"))  # A role may have one.
            await connection.execute(text(f"SET LOCAL lock_timeout = '{OTHERS_WITHIN_S}s'"))
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"))
            await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_MS}ms'"))
            await connection.run_sync(_upgrade, report, to)
    except DBAPIError as error:
        if (code := getattr(error.orig, "sqlstate", None)) in _LOCKED:
            return False
        if code == _NO_PRIVILEGE:
            said = getattr(error.orig, "__cause__", None)
            raise Refused(f"The database does not let this user migrate: {said}.") from error
        if error.connection_invalidated:
            raise Unavailable("The connection to the database was lost: migrate again.") from error
        raise
    finally:
        await connection.close()
    return True


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


def _upgrade(connection: Connection, report: Callable[[str], None], to: str) -> None:
    if standing(_current(connection)) is Standing.NEWER:
        raise Refused(NEWER_THAN_THIS)
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["report"] = report
    command.upgrade(config, to)


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
