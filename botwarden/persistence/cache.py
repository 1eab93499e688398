"""A shared cache of JSON in Redis; being away is a miss.

Nothing is decided by what is in here: every entry ends by itself, and whoever needs the truth asks its
source.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from botwarden.persistence.redis_connection import open_redis

T = TypeVar("T")

_WITHIN_S = 1.0


class JsonCache:
    """Values by key, under a prefix of their own."""

    def __init__(self, redis_url: str, *, prefix: str = "botwarden:cache") -> None:
        self._redis = open_redis(redis_url, within_s=_WITHIN_S)
        self._prefix = prefix
        #: Reads that Redis answered, and reads that had to be loaded.
        self.hits = 0
        self.misses = 0

    @property
    def redis(self) -> Redis:
        """The client behind the cache."""
        return self._redis

    async def get(self, key: str, type: type[T]) -> T | None:  # noqa: A002 - the caller's own word
        """Return the value, or None when there is none, it is of another form, or Redis is away."""
        try:
            text = await self._redis.get(self._key(key))
            value = None if text is None else msgspec.json.decode(text, type=type)
        except (RedisError, OSError, msgspec.DecodeError):
            value = None
        if value is None:
            self.misses += 1
        else:
            self.hits += 1
        return value

    async def set(self, key: str, value: Any, ttl_s: float) -> None:
        """Keep a value for so long; when Redis is away it is not kept."""
        try:
            await self._redis.set(self._key(key), msgspec.json.encode(value), px=max(1, round(ttl_s * 1000)))
        except (RedisError, OSError):
            return

    async def delete(self, key: str) -> None:
        """Forget a value."""
        try:
            await self._redis.delete(self._key(key))
        except (RedisError, OSError):
            return

    async def get_or_load(
        self,
        key: str,
        type: type[T],  # noqa: A002 - see get
        ttl_s: float,
        load: Callable[[], Awaitable[T]],
    ) -> T:
        """Return the value, loading and keeping it when there is none."""
        value = await self.get(key, type)
        if value is None:
            value = await load()
            await self.set(key, value, ttl_s)
        return value

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    def _key(self, key: str) -> str:
        return f"{self._prefix}:{key}"
