"""Counters that forget themselves, shared by all replicas through Redis.

While Redis is away each replica counts for itself: limits get wider, never absent.
"""

import time
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

_MOST_KEPT = 10_000
# A count that was forgotten meanwhile must not come back, and then for ever.
_TAKE_BACK = "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('DECR', KEYS[1]) end"


class Counters:
    """Counts by key, each within a window that begins with its first count."""

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str = "botwarden:counters",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._monotonic = monotonic
        #: Count, and when it ends, by key: only while Redis is away.
        self._own: dict[str, tuple[int, float]] = {}

    async def count(self, key: str, *, within_s: int) -> tuple[int, float]:
        """Add one; return the count and in how many seconds it is forgotten."""
        name = f"{self._prefix}:{key}"
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.set(name, 0, ex=within_s, nx=True)
                pipe.incr(name)
                pipe.pttl(name)
                _, count, left_ms = await pipe.execute()
        except (RedisError, OSError):
            return self._count_here(key, within_s)
        return int(count), max(int(left_ms), 0) / 1000

    async def take_back(self, key: str) -> None:
        """Subtract one from a count that is still kept."""
        if key in self._own:
            count, until = self._own[key]
            self._own[key] = (max(count - 1, 0), until)
        try:
            await self._redis.eval(_TAKE_BACK, 1, f"{self._prefix}:{key}")
        except (RedisError, OSError):
            return

    async def clear(self, key: str) -> None:
        """Forget a count."""
        self._own.pop(key, None)
        try:
            await self._redis.delete(f"{self._prefix}:{key}")
        except (RedisError, OSError):
            return

    def _count_here(self, key: str, within_s: int) -> tuple[int, float]:
        now = self._monotonic()
        count, until = self._own.get(key, (0, 0.0))
        if until <= now:
            self._make_room(now)
            count, until = 0, now + within_s
        self._own[key] = (count + 1, until)
        return count + 1, until - now

    def _make_room(self, now: float) -> None:
        if len(self._own) >= _MOST_KEPT:
            kept = {key: it for key, it in self._own.items() if it[1] > now}
            self._own = kept if len(kept) < _MOST_KEPT else {}
