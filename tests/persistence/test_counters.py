"""Counters that forget themselves, with Redis and without."""

import pytest

from botwarden.persistence.counters import Counters
from botwarden.persistence.redis_connection import open_redis

pytestmark = pytest.mark.anyio


@pytest.fixture
async def redis(redis_url):
    redis = open_redis(redis_url, within_s=1)
    yield redis
    await redis.aclose()


async def test_replicas_count_together(redis):
    """What one replica counts the other one sees; the count ends with its window."""
    here, there = Counters(redis), Counters(redis)
    assert (await here.count("k", within_s=60))[0] == 1
    count, left_s = await there.count("k", within_s=60)
    assert count == 2
    assert 50 < left_s <= 60
    assert (await here.count("another", within_s=60))[0] == 1
    await there.take_back("k")
    assert (await here.count("k", within_s=60))[0] == 2
    await there.clear("k")
    assert (await here.count("k", within_s=60))[0] == 1


async def test_forgotten_count_does_not_come_back(redis):
    """Taking back what is forgotten leaves nothing behind that would never end."""
    counters = Counters(redis)
    await counters.take_back("k")
    assert (await counters.count("k", within_s=60))[0] == 1
    assert await redis.ttl("botwarden:counters:k") > 0


async def test_without_redis_each_counts_for_itself():
    """While Redis is away counts are kept here, for as long as their window lasts."""
    now = [1000.0]
    redis = open_redis("redis://127.0.0.1:9", within_s=0.2)
    counters = Counters(redis, monotonic=lambda: now[0])
    assert await counters.count("k", within_s=60) == (1, 60)
    now[0] += 20
    assert await counters.count("k", within_s=60) == (2, 40)
    await counters.take_back("k")
    assert (await counters.count("k", within_s=60))[0] == 2
    now[0] += 41
    assert await counters.count("k", within_s=60) == (1, 60)
    await counters.clear("k")
    assert (await counters.count("k", within_s=60))[0] == 1
    await redis.aclose()


async def test_memory_of_lonely_counts_is_bounded(monkeypatch):
    """Many keys while Redis is away do not fill the memory; the oldest windows go first."""
    monkeypatch.setattr("botwarden.persistence.counters._MOST_KEPT", 3)
    now = [0.0]
    redis = open_redis("redis://127.0.0.1:9", within_s=0.2)
    counters = Counters(redis, monotonic=lambda: now[0])
    for number in range(10):
        now[0] += 30
        await counters.count(f"k{number}", within_s=60)
        assert len(counters._own) <= 3
    await redis.aclose()
