"""Redis as we use it: short deadlines and no retries behind our back.

The client's own defaults (5 s, ten retries) would let a request hang for a minute while Redis is away.
"""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


def open_redis(url: str, *, within_s: float, retries: int = 1) -> Redis:
    """Return a client of `url` (redis://, rediss:// or unix://) that gives up after `within_s`."""
    return Redis.from_url(
        url,
        socket_timeout=within_s,
        socket_connect_timeout=within_s,
        retry=Retry(NoBackoff(), retries),
        health_check_interval=0,
    )
