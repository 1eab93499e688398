"""Real servers for every test that asks: started once, one database per test copied from a migrated one."""

import inspect
import itertools
import logging
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import sniffio
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from sqlalchemy import make_url

from botwarden.persistence.embedded import EmbeddedServers

TEMPLATE = "template_migrated"

_numbers = itertools.count(1)

# Who starts the tests in the background may have them ignore these, and so every process that they start.
for _word in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_word) is signal.SIG_IGN:
        signal.signal(_word, signal.default_int_handler if _word is signal.SIGINT else signal.SIG_DFL)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Everything runs on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
async def servers(anyio_backend) -> AsyncIterator[EmbeddedServers]:  # noqa: ARG001 - they live on its loop
    """PostgreSQL and Valkey, under a keeper that starts again what a test kills."""
    folder = Path(tempfile.mkdtemp(prefix="bw-"))
    try:
        async with EmbeddedServers.start(folder, fast=True) as servers:
            yield servers
    finally:
        shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Put the log's set-up back that a command has changed which ran in the process of the tests."""
    root, before = logging.getLogger(), structlog.get_config()
    level = root.level
    yield
    if structlog.get_config() != before:
        structlog.configure(**before)
        logging.captureWarnings(capture=False)
        root.setLevel(level)
        for handler in list(root.handlers):
            if isinstance(handler.formatter, structlog.stdlib.ProcessorFormatter):
                root.removeHandler(handler)


@pytest.fixture(autouse=True)
def _between_loops(request) -> Iterator[None]:
    """Let a plain test start a loop of its own, though the session's loop, at rest now, is still open."""
    if inspect.iscoroutinefunction(inspect.unwrap(request.function)):
        yield
        return
    token = sniffio.current_async_library_cvar.set(None)
    yield
    sniffio.current_async_library_cvar.reset(token)


class Clerk:
    """Makes and drops databases over one connection, renewed when a test has killed the server."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._connection: asyncpg.Connection | None = None

    def url(self, name: str) -> str:
        """Return the URL of the database called `name`."""
        return self._url.set(database=name).render_as_string(hide_password=False)

    async def execute(self, statement: str) -> None:
        """Run a statement outside of a transaction."""
        if self._connection is None or self._connection.is_closed():
            plain = self._url.set(drivername="postgresql", database="postgres")
            self._connection = await asyncpg.connect(plain.render_as_string(hide_password=False))
        await self._connection.execute(statement)

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()


@pytest.fixture(scope="session")
async def clerk(servers) -> AsyncIterator[Clerk]:
    """Knows the template."""
    from botwarden.persistence import migrate

    clerk = Clerk(servers.database_url)
    await clerk.execute(f"CREATE DATABASE {TEMPLATE}")
    await migrate.upgrade(clerk.url(TEMPLATE), lambda _step: None)
    yield clerk
    await clerk.close()


@pytest.fixture
async def database_url(clerk) -> AsyncIterator[str]:
    """A database of this test's own, at head and empty."""
    name = f"test_{next(_numbers)}"
    await clerk.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    yield clerk.url(name)
    await clerk.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(database_url):
    """The door to that database."""
    from botwarden.persistence.database import Database

    database = Database.connect(database_url)
    yield database
    await database.close()


@pytest.fixture
async def redis_url(servers) -> str:
    """An empty logical database of the Valkey server, which is up (a test before may have killed it)."""
    url = f"{servers.redis_url}?db={next(_numbers) % 16}"
    async with Redis.from_url(url, retry=Retry(ConstantBackoff(0.02), 500)) as client:
        await client.flushdb()
    return url
