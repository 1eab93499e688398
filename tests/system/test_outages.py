"""Bad days of the servers around a replica whose bots trade: what is promised, and that all heals."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import asyncpg
import httpx
import pytest

from chaos.world import until
from tests.system.conftest import shared_folder
from tests.system.fleet import PATIENCE_S, Fleet, open_fleet, trades

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(180)]

#: Each way, for each of the statements of a commit.
SLOW_S = 0.05

#: Longer than a replica believes that it lives, and than its sessions may stall.
LONG_S = 6.0


@pytest.fixture(scope="module")
async def harbour(anyio_backend) -> AsyncIterator[Fleet]:  # noqa: ARG001 - its processes are waited for on this loop
    """Servers, a paper exchange and replicas that reach all of it through lines."""
    with shared_folder() as folder:
        async with open_fleet(folder, through_lines=True) as fleet:
            yield fleet


@pytest.fixture
async def fleet(harbour) -> AsyncIterator[Fleet]:
    """A replica with two bots that trade; at the end nothing does, and the books are right."""
    await harbour.begin()
    for _ in range(2):
        await harbour.start(await harbour.hire())
    await harbour.until(trades(1))
    yield harbour
    await harbour.trades_on()
    await harbour.check_books()
    await harbour.end()


async def answer_of(fleet: Fleet, path: str) -> httpx.Response:
    """Return what the replica says now."""
    async with fleet.client(fleet.world.replicas[0]) as client:
        return await client.get(path)


async def ready(fleet: Fleet) -> httpx.Response:
    """Return whether the replica says that it is ready."""
    address = fleet.world.replicas[0].address.removesuffix("/api/v1")
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        return await client.get(f"{address}/health/ready")


async def is_away(fleet: Fleet) -> bool:
    """Whether the API says that it cannot answer now."""
    answer = await answer_of(fleet, "/bots")
    if answer.status_code != 503:
        return False
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert int(answer.headers["retry-after"]) >= 1
    return True


async def orders_there(fleet: Fleet) -> int:
    """Return how many orders the exchange has of the bots."""
    return sum([len(await fleet.venue_orders(bot)) for bot in fleet.bots])


async def goes_on_for(seconds: float, once: Callable[[], Awaitable[object]]) -> None:
    """Do something again and again for so long."""
    end = anyio.current_time() + seconds
    while anyio.current_time() < end:
        await once()


@asynccontextmanager
async def refused(fleet: Fleet) -> AsyncIterator[None]:
    """No way to the database: connections end, new ones are refused."""
    await fleet.networks[0].postgres.cut()
    yield
    await fleet.networks[0].postgres.open()


@asynccontextmanager
async def silent(fleet: Fleet) -> AsyncIterator[None]:
    """The database does not say a word; connections stand."""
    fleet.networks[0].postgres.silence()
    yield
    fleet.networks[0].postgres.speak()


@asynccontextmanager
async def full(fleet: Fleet) -> AsyncIterator[None]:
    """The database takes no further connections, and has ended those that there were."""
    async with AsyncExitStack() as stack:
        url = fleet.database_url.replace("postgresql+asyncpg", "postgresql")
        mine: list[asyncpg.Connection] = [await asyncpg.connect(url)]
        while True:
            try:
                await mine[0].execute(_END_REPLICAS)
                mine.append(await asyncpg.connect(url))
            except asyncpg.TooManyConnectionsError:
                if await mine[0].fetchval(_COUNT_REPLICAS) == 0:
                    break
        for connection in mine:
            stack.push_async_callback(connection.close)
        yield


@pytest.mark.parametrize("outage", [refused, silent, full])
async def test_without_its_database_nothing_is_traded_and_the_api_says_503(fleet, outage):
    """What could not be recorded is not traded; who asks is told to come again; then all goes on."""
    async with outage(fleet):
        assert await until(lambda: is_away(fleet), within_s=PATIENCE_S)
        state = await ready(fleet)
        assert state.status_code == 503
        assert state.json()["checks"]["database"] == "failed"
        # Whatever was on its way when the database went has arrived.
        before = await orders_there(fleet)
        await goes_on_for(LONG_S, lambda: answer_of(fleet, "/bots"))
        assert await orders_there(fleet) == before


async def test_a_slow_database_slows_and_loses_nothing(fleet):
    """Each word to the database and back takes its time: bots trade on, more slowly."""
    fleet.networks[0].postgres.delay_s = SLOW_S
    await fleet.trades_on()
    fleet.networks[0].postgres.delay_s = 0.0


async def test_a_database_that_is_killed_comes_back_with_everything(fleet):
    """PostgreSQL recovers from SIGKILL; what was committed is there, and the bots go on."""
    before = fleet.world.servers.pids["postgresql"]
    fleet.world.kill_service("postgresql")

    async def is_another() -> bool:
        return fleet.world.servers.pids.get("postgresql", before) != before

    assert await until(is_another, within_s=PATIENCE_S)


_END_REPLICAS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'botwarden%'
"""
_COUNT_REPLICAS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'botwarden%'"
