"""Websockets to one venue that are opened as they are needed, each kept alive by itself."""

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

import aiohttp
import anyio

from botwarden.exchange.bell import Bell


class Lasting(Protocol):
    """One websocket after another."""

    async def run(self, http: aiohttp.ClientSession) -> None:
        """Keep a websocket open while it is wanted, for ever."""
        ...


C = TypeVar("C", bound=Lasting)


class ConnectionPool(Generic[C]):
    """Connections that share sockets."""

    def __init__(self, connector: Callable[[], aiohttp.BaseConnector]) -> None:
        self._connector = connector
        self._connections: list[C] = []
        self._grown = Bell()

    def __iter__(self) -> Iterator[C]:
        """Yield the connections, oldest first."""
        return iter(self._connections)

    def add(self, connection: C) -> C:
        """Have one more connection run; returns it."""
        self._connections.append(connection)
        self._grown.ring()
        return connection

    async def run(self) -> None:
        """Run all connections for ever, and those that come later."""
        jar = aiohttp.DummyCookieJar()
        async with (
            aiohttp.ClientSession(connector=self._connector(), connector_owner=False, cookie_jar=jar) as http,
            anyio.create_task_group() as group,
        ):
            started = 0
            while True:
                for connection in self._connections[started:]:
                    group.start_soon(connection.run, http)
                started = len(self._connections)
                await self._grown.wait()
