"""Bad days of the servers around a replica whose bots trade: what is promised, and that all heals."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

import anyio
import asyncpg
import httpx
import pytest
from redis.asyncio import Redis

from chaos import disk
from chaos.world import RECEIVE_WINDOW_MS, until
from tests.system.conftest import shared_folder
from tests.system.fleet import PATIENCE_S, Fleet, open_fleet, together, trades
from tests.system.watcher import Watcher

pytestmark = [pytest.mark.anyio, pytest.mark.system, pytest.mark.timeout(180)]

#: Each way, for each of the statements of a commit.
SLOW_S = 0.05

#: After it no order that was intended before can be accepted any more.
WINDOW_S = RECEIVE_WINDOW_MS / 1000

_knocks = itertools.count()

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


async def answer_of(fleet: Fleet, method: str = "GET") -> httpx.Response:
    """Return what the replica says now to somebody who reads a bot's state, or changes it."""
    body = {"last_error_message": f"knock {next(_knocks)}"} if method == "PUT" else None
    async with fleet.client(fleet.world.replicas[0]) as client:
        return await client.request(method, f"/bot-states/{fleet.bots[0].id}", json=body)


async def ready(fleet: Fleet) -> httpx.Response:
    """Return whether the replica says that it is ready."""
    address = fleet.world.replicas[0].address.removesuffix("/api/v1")
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        return await client.get(f"{address}/health/ready")


async def is_away(fleet: Fleet, method: str = "GET") -> bool:
    """Whether the API says that it cannot answer now."""
    answer = await answer_of(fleet, method)
    if answer.status_code != 503:
        return False
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert int(answer.headers["retry-after"]) >= 1
    return True


async def fill_up(fleet: Fleet) -> None:
    """Use up what room the files of the trail still have, to the last short row."""
    connection = await asyncpg.connect(fleet.database_url.replace("postgresql+asyncpg", "postgresql"))
    for length in (50, 5, 0):
        with suppress(asyncpg.PostgresError):
            while True:
                await connection.execute(_FILL, 1, length)
    await connection.close()


async def is_served(fleet: Fleet) -> None:
    """Somebody who asks, and somebody who writes, are answered as ever."""
    for method in ("GET", "PUT"):
        answer = await answer_of(fleet, method)
        assert answer.status_code in (200, 423), answer.text


async def has_moved(watcher: Watcher, seen: dict[int, int]) -> bool:
    """Whether something newer was seen of each bot."""
    return all(watcher.versions[bot] > version for bot, version in seen.items())


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
        await goes_on_for(WINDOW_S, lambda: answer_of(fleet))
        # Whatever was on its way when the database went has arrived, or never will.
        before = await orders_there(fleet)
        await goes_on_for(LONG_S, lambda: answer_of(fleet))
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


async def test_on_a_full_disk_nothing_is_traded_that_cannot_be_recorded(fleet):
    """The trail cannot grow: owners are told so, nothing is ordered, and all goes on once there is room."""
    await fleet.sql(_FILL, 12_000, 50)
    with disk.full(fleet.world.servers):
        await fill_up(fleet)
        assert await until(lambda: is_away(fleet, "PUT"), within_s=PATIENCE_S)
        await goes_on_for(WINDOW_S, lambda: answer_of(fleet, "PUT"))
        before = await orders_there(fleet)
        await goes_on_for(LONG_S, lambda: answer_of(fleet, "PUT"))
        assert await orders_there(fleet) == before
        assert (await answer_of(fleet)).status_code == 200


@pytest.mark.parametrize("seconds", [1, 5, 45])
async def test_without_redis_all_goes_on(fleet, seconds):
    """Bots trade, owners are answered, and watchers see what happens, if later, and in the end the truth."""
    line = fleet.networks[0].redis
    watcher = Watcher(fleet)
    async with anyio.create_task_group() as watching:
        watching.start_soon(watcher.watch)
        await fleet.trades_on()
        await line.cut()
        seen = dict(watcher.versions)
        await goes_on_for(seconds, lambda: is_served(fleet))
        await fleet.trades_on()
        assert await until(lambda: has_moved(watcher, seen), within_s=PATIENCE_S)
        assert (await ready(fleet)).json()["checks"]["redis"] == "degraded"
        await line.open()
        await fleet.trades_on()
        await together(*(partial(fleet.ask, "POST", f"/bots/{bot.id}/stop") for bot in fleet.bots))
        await watcher.sees_the_truth()
        watching.cancel_scope.cancel()
    await together(*(partial(fleet.start, bot) for bot in fleet.bots))


@pytest.mark.parametrize("word", ["kill", "flush"])
async def test_a_redis_that_forgets_everything_costs_nothing(fleet, word):
    """Nothing that matters is kept there: it is killed, or emptied, and nobody notices for long."""
    watcher = Watcher(fleet)
    async with anyio.create_task_group() as watching:
        watching.start_soon(watcher.watch)
        await fleet.trades_on()
        if word == "kill":
            fleet.world.kill_service("valkey")
        else:
            async with Redis.from_url(fleet.world.settings.redis_url) as redis:
                await redis.flushall()
        await fleet.trades_on()
        await together(*(partial(fleet.ask, "POST", f"/bots/{bot.id}/stop") for bot in fleet.bots))
        await watcher.sees_the_truth()
        watching.cancel_scope.cancel()
    await together(*(partial(fleet.start, bot) for bot in fleet.bots))


async def test_without_redis_a_command_reaches_the_other_replica(fleet):
    """Word is lost, so the holder finds by itself what an owner has written elsewhere."""
    await fleet.serve_both()
    for network in fleet.networks:
        await network.redis.cut()
    for bot in fleet.bots:
        elsewhere = fleet.other(await fleet.holder(bot))
        await fleet.ask("POST", f"/bots/{bot.id}/stop", at=elsewhere)
        known = len(await fleet.venue_orders(bot))
        await fleet.ask("POST", f"/bots/{bot.id}/start", at=elsewhere)
        assert (await fleet.state(bot))["status"] in ("pending", "running", "waiting (no signal)")
        assert len(await fleet.venue_orders(bot)) >= known
    await fleet.trades_on()
    for network in fleet.networks:
        await network.redis.open()
    fleet.world.replicas[1].kill()


_FILL = """
    INSERT INTO bot_events (at, bot_id, user_id, version, cause, kind, changes, message)
    SELECT now(), 0, 0, n, 'api', 'filler', '{}', repeat(md5(n::text), $2) FROM generate_series(1, $1) AS n
"""
_END_REPLICAS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'botwarden%'
"""
_COUNT_REPLICAS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'botwarden%'"
