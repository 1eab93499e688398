"""From a start that one replica answers to the bot running in another, seen on a stream of the first.

Two whole `botwarden serve` processes; the bots are held by the one that is not asked. With Redis, and without
it, when the holder's sweep finds out. The reference is what no way can do without: one committed row and one
word from Redis to a listener, twice (there and back).
"""

import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import uvloop
from redis.asyncio import Redis

from chaos.fleet import Fleet
from chaos.network import Network, connected
from chaos.world import World, opened, until

BOTS = 12
STARTS, STARTS_WITHOUT_REDIS = 40, 10
_HELD_BY = """
    SELECT s.bot_id FROM bot_states s JOIN slots l ON l.slot = s.slot JOIN replicas r ON r.id = l.replica_id
    WHERE r.name = $1
"""


async def _starts(client: httpx.AsyncClient, bot_ids: list[int], count: int) -> list[float]:
    """Return how long each start took, in seconds, until the stream told that the bot runs."""
    took: list[float] = []
    async with client.stream("GET", "/bots/status-stream", timeout=60) as stream:
        states = _states(stream)
        for number in range(count):
            bot_id = bot_ids[number % len(bot_ids)]
            await client.post(f"/bots/{bot_id}/stop")
            began_s = time.perf_counter()
            await client.post(f"/bots/{bot_id}/start")
            async for state in states:
                if state.get("id") == bot_id and state["status"] not in ("stopped", "pending"):
                    break
            took.append(time.perf_counter() - began_s)
    return took


async def _states(stream: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            state = msgspec.json.decode(line[6:])
            if "status" in state:
                yield state


async def _reference(world: World, count: int) -> list[float]:
    """Return how long a committed row and a word, there and back, take."""
    took = []
    url = world.settings.database_url.replace("postgresql+asyncpg", "postgresql")
    async with Redis.from_url(world.settings.redis_url) as redis, redis.pubsub() as ear:
        link = await asyncpg.connect(url)
        await ear.subscribe("reference")
        await ear.get_message(timeout=5)
        await link.execute("CREATE TABLE reference (n int)")
        await link.execute("INSERT INTO reference VALUES (0)")
        for _ in range(count):
            began_s = time.perf_counter()
            for _way in range(2):
                await link.execute("UPDATE reference SET n = n + 1")
                await redis.publish("reference", b"word")
                await ear.get_message(ignore_subscribe_messages=True, timeout=5)
            took.append(time.perf_counter() - began_s)
        await link.close()
    return took


@asynccontextmanager
async def _scene(folder: Path) -> AsyncIterator[tuple[World, Fleet, list[Network], list[int]]]:
    """Yield two replicas that share bots, and those bots that the second one holds."""
    async with opened(folder, replicas=2, speed=1.0, seed=1) as world, AsyncExitStack() as stack:
        networks = []
        for replica in world.replicas:
            networks.append(await stack.enter_async_context(connected(world.settings)))
            replica.lead_through(networks[-1])
            replica.start()
        fleet = Fleet([replica.address for replica in world.replicas])
        await fleet.settle_in(BOTS)
        link = await asyncpg.connect(world.settings.database_url.replace("postgresql+asyncpg", "postgresql"))

        async def is_shared() -> bool:
            rows = await link.fetch("SELECT DISTINCT replica_id FROM slots")
            return len(rows) == 2 and all(row["replica_id"] for row in rows)

        if not await until(is_shared, within_s=60.0):
            raise TimeoutError("the replicas do not share the slots")
        held = [row["bot_id"] for row in await link.fetch(_HELD_BY, world.replicas[1].name)]
        await link.close()
        yield world, fleet, networks, held


async def _measure(folder: Path) -> None:
    async with _scene(folder) as (world, fleet, networks, held):
        reference = statistics.median(await _reference(world, STARTS))
        async with fleet.client(world.replicas[0].address) as client:
            with_redis = await _starts(client, held, STARTS)
            for network in networks:
                await network.redis.cut()
            without = await _starts(client, held, STARTS_WITHOUT_REDIS)
    print(f"reference (row and word, there and back): median {reference * 1000:.1f} ms")
    for name, times in (("with Redis", with_redis), ("without Redis", without)):
        median = statistics.median(times)
        print(
            f"start answered by one, running in the other, {name}: median {median * 1000:.0f} ms,"
            f" longest {max(times) * 1000:.0f} ms; ratio {median / reference:.1f}"
        )


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="bw-reach-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        uvloop.run(_measure(Path(folder) / "data"))
