"""A cache that is away is a miss, never an error."""

import msgspec
import pytest
from redis.asyncio import Redis

from botwarden.persistence.cache import JsonCache

pytestmark = pytest.mark.anyio


class Price(msgspec.Struct):
    symbol: str
    value: float


@pytest.fixture
async def cache(redis_url):
    cache = JsonCache(redis_url)
    yield cache
    await cache.close()


async def test_values_are_kept_and_counted(cache):
    """What was set is got, and reads are counted by whether they were answered."""
    assert await cache.get("price", Price) is None
    await cache.set("price", Price("BTCUSDT", 1.5), 60)
    assert await cache.get("price", Price) == Price("BTCUSDT", 1.5)
    assert (cache.hits, cache.misses) == (1, 1)
    await cache.delete("price")
    assert await cache.get("price", Price) is None


async def test_every_entry_ends_by_itself(cache, redis_url):
    """Nothing is kept for ever."""
    await cache.set("price", 1, 60)
    async with Redis.from_url(redis_url) as redis:
        [key] = await redis.keys()
        assert 0 < await redis.pttl(key) <= 60_000


async def test_a_value_is_loaded_once(cache):
    """The second reader gets what the first one loaded."""
    loads = []

    async def load() -> list[int]:
        loads.append(1)
        return [len(loads)]

    assert [await cache.get_or_load("list", list[int], 60, load) for _ in range(3)] == [[1]] * 3


async def test_a_value_of_another_form_is_a_miss(cache):
    """What an older release kept in another form is loaded anew."""
    await cache.set("price", {"symbol": 7}, 60)
    assert await cache.get("price", Price) is None


async def test_a_cache_that_is_away_is_a_miss(tmp_path):
    """Without Redis values are loaded each time, and nothing is raised."""
    cache = JsonCache(f"unix://{tmp_path}/nobody.sock")

    async def load() -> int:
        return 7

    assert await cache.get_or_load("number", int, 60, load) == 7
    await cache.delete("number")
    assert cache.misses == 1
    await cache.close()
