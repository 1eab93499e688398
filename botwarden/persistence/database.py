"""The door to PostgreSQL: one pool, two ways in, and the only commit in the house.

    begin()   a transaction that commits at the end of its block, or changes nothing
    read()    single statements without a transaction around them

Nothing of the driver leaves this file where a caller has a choice to make: a server that is away, full or
shutting down is `Unavailable`, a row that stays locked is `Locked`, and a connection lost at COMMIT is
`Doubtful`. What remains (a broken constraint, a wrong statement) is a bug or the business of its module.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Self

import anyio
import asyncpg
import msgspec
from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from botwarden.errors import Locked, Unavailable
from botwarden.persistence.errors import Deadlocked, Doubtful

#: A connection inside a transaction, or outside of one when it comes from `read`.
Transaction = AsyncConnection

_LOCK_NOT_AVAILABLE = "55P03"
_DEADLOCK = "40P01"

#: Classes and codes of errors that are the server's own affair, and pass: connections, resources (a full
#: disk), an operator, the system, and what has gone wrong inside.
#: Source: PostgreSQL, appendix A (error codes).
_AWAY_CLASSES = ("08", "53", "57", "58", "XX")
_AWAY_CODES = ("25P03", "25P04", "40001", "25006", "55000")


class Database:
    """One PostgreSQL database, reached through a pool of connections."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        name: str = "botwarden",
        pool_size: int = 10,
        lock_timeout_ms: int = 2000,
        statement_timeout_ms: int = 10_000,
        idle_in_transaction_ms: int = 2000,
        connect_within_s: float = 5.0,
    ) -> Self:
        """Return the database behind `url` (postgresql://...); connections are opened when needed.

        `name` is how the server's own views call its sessions. One that stalls inside a transaction is
        ended by the server, so that a stopped process cannot keep rows locked.
        """
        engine = create_async_engine(
            driver_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=connect_within_s,
            # What a statement carries may be a secret; errors reach logs.
            hide_parameters=True,
            json_serializer=_to_json,
            json_deserializer=msgspec.json.decode,
            connect_args={
                "timeout": connect_within_s,
                # The server gives up first; this is for a link that has gone silent.
                "command_timeout": statement_timeout_ms / 1000 + 2,
                "server_settings": {
                    "application_name": name,
                    "timezone": "UTC",
                    "lock_timeout": str(lock_timeout_ms),
                    "statement_timeout": str(statement_timeout_ms),
                    "idle_in_transaction_session_timeout": str(idle_in_transaction_ms),
                },
            },
        )
        return cls(engine)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """Open a transaction; it commits when the block ends, and is undone when the block raises.

        Raises:
            Unavailable: no server, no free connection, or it was lost before COMMIT: nothing was changed.
            Doubtful: the connection was lost at COMMIT.
            Locked: a lock was not to be had within the lock time-out: nothing was changed.
        """
        async with _connected(self.engine) as tx:
            transaction = await tx.begin()
            yield tx
            with _named_at_commit():
                await transaction.commit()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """Open a connection on which each statement stands alone, seeing what is committed by then.

        Raises:
            Unavailable: no server or no free connection.
        """
        async with _connected(self._single) as tx:
            yield tx

    async def check(self) -> None:
        """Ask the server for a sign of life. Raises `Unavailable`."""
        async with self.read() as tx:
            await tx.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


def broken_constraint(error: DBAPIError) -> str | None:
    """Return the name of the constraint that the database found broken."""
    return getattr(getattr(error.orig, "__cause__", None), "constraint_name", None)


def driver_url(url: str) -> URL:
    """Return `url` (any postgres:// form, libpq's sslmode included) as the driver wants it."""
    parsed = make_url(
        url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url
    )
    query = dict(parsed.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return parsed.set(drivername="postgresql+asyncpg", query=query)


@asynccontextmanager
async def _connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Lend a connection; what the block did not commit is undone when it comes back."""
    connection = engine.connect()
    with _named_at_opening():
        await connection.start()
    try:
        with _named():
            yield connection
    finally:
        with anyio.CancelScope(shield=True):
            await connection.close()


@contextmanager
def _named_at_opening() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("Every database connection is in use.") from error
    except (OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable("The database cannot be reached.") from error


@contextmanager
def _named() -> Iterator[None]:
    """Raise what the caller can do something about under its own name."""
    try:
        yield
    except DBAPIError as error:
        raise _name(error) or error from error
    except (ConnectionError, TimeoutError) as error:
        raise Unavailable("The connection to the database was lost.") from error


@contextmanager
def _named_at_commit() -> Iterator[None]:
    """Raise `Doubtful` unless the server itself said that it did not commit."""
    try:
        yield
    except DBAPIError as error:
        code = _code(error)
        if code is not None and code[:2] in ("23", "40"):
            raise
        raise Doubtful from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Doubtful from error


def _name(error: DBAPIError) -> Locked | Unavailable | None:
    code = _code(error)
    if code == _LOCK_NOT_AVAILABLE:
        return Locked()
    if code == _DEADLOCK:
        return Deadlocked()
    if error.connection_invalidated:
        return Unavailable("The connection to the database was lost.")
    if code is not None and (code[:2] in _AWAY_CLASSES or code in _AWAY_CODES):
        return Unavailable("The database cannot do this now.")
    if code is None and isinstance(error, InterfaceError) and "connection" in str(error.orig):
        return Unavailable("The connection to the database was lost.")
    return None


def _code(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
