"""The fast witness of a replica's death: a session-level advisory lock on a connection of its own.

The server frees the lock when the session ends, however that comes about; server-side keepalives and the
connection check see to it that a vanished machine's session ends within seconds.
"""

import anyio
import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from botwarden.errors import Unavailable
from botwarden.persistence.database import driver_url

#: First half of the key of a replica's advisory lock; the second is its id.
LOCK_CLASS = 0x6277

#: Settings of the session; a server that does not know one goes without it.
_SETTINGS = {
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "3000",
    "client_connection_check_interval": "1000",
}
_LOST = (DBAPIError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_CONNECT_WITHIN_S = 3.0
#: Whoever takes longer counts as dead before it has begun.
_ACQUIRE_WITHIN_S = 4.0
_CLOSE_WITHIN_S = 2.0


class ReplicaLock:
    """Holds the lock of one replica from `acquire` to `close`."""

    def __init__(self, url: str, replica_id: int) -> None:
        self._replica_id = replica_id
        self._engine = create_async_engine(
            driver_url(url),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args={
                "timeout": _CONNECT_WITHIN_S,
                "server_settings": {
                    "application_name": f"botwarden replica {replica_id}",
                    "lock_timeout": "2000",
                },
            },
        )
        self._session: AsyncConnection | None = None

    async def acquire(self, *, within_s: float = _ACQUIRE_WITHIN_S) -> None:
        """Connect and take the lock. Raises `Unavailable`, also where a server has fallen silent."""
        try:
            with anyio.fail_after(within_s):
                await self._acquire()
        except TimeoutError as error:
            await self.close()
            raise Unavailable("The database has fallen silent.") from error

    async def _acquire(self) -> None:
        try:
            session = self._session = await self._engine.connect()
        except _LOST as error:
            raise Unavailable("The database cannot be reached.") from error
        try:
            for name, value in _SETTINGS.items():
                await _set(session, name, value)
            # Peers share the lock for an instant when they look whether it is free: wait for them.
            await session.execute(text(f"SELECT pg_advisory_lock({LOCK_CLASS}, {self._replica_id:d})"))
        except _LOST as error:
            await self.close()
            raise Unavailable("The replica's lock cannot be taken.") from error

    async def probe(self, *, within_s: float = 1.0) -> bool:
        """Return whether the session, and with it the lock, still stands."""
        if self._session is None:
            return False
        try:
            with anyio.fail_after(within_s):
                await self._session.execute(text("SELECT 1"))
        except (DBAPIError, OSError):
            return False
        return True

    async def close(self) -> None:
        """End the session; the lock is free then."""
        session, self._session = self._session, None
        if session is not None:
            await _close(session)


async def _set(session: AsyncConnection, name: str, value: str) -> None:
    try:
        await session.execute(text("SELECT set_config(:name, :value, false)"), {"name": name, "value": value})
    except DBAPIError as error:
        if error.connection_invalidated:
            raise


async def _close(session: AsyncConnection) -> None:
    with anyio.move_on_after(_CLOSE_WITHIN_S, shield=True):
        await session.close()
