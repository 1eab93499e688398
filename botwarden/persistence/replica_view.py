"""What each replica tells of itself every second, for health and for administrators.

It lives in Redis with a time to live: a replica that is gone is gone from here, and nothing that decides
ever reads it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from botwarden.errors import Unavailable
from botwarden.trading.bot import Venue

#: A view that was not written again for so long is gone.
TTL_S = 5
_INDEX = "botwarden:replicas"
_KEY = "botwarden:replica:{}"


class FeedView(msgspec.Struct, frozen=True, kw_only=True):
    """The price stream of one symbol on one venue."""

    venue: Venue
    symbol: str
    #: `live`, or what keeps it from being so: `connecting`, `silent`, `lost`.
    state: str
    last_price_at: datetime | None = None
    #: Positions whose stop-loss or take-profit the last price was held against.
    positions_guarded: int = 0


class VenueView(msgspec.Struct, frozen=True, kw_only=True):
    """How one venue answers."""

    venue: Venue
    #: `ok`, or what is wrong: `away`, `limited`, `banned`.
    state: str
    #: The venue's clock less ours.
    clock_offset_ms: float | None = None
    #: Request weight used in the present minute.
    used_weight: int | None = None


class ActorNode(msgspec.Struct, frozen=True, kw_only=True):
    """One actor and those it started."""

    name: str
    alive: bool
    #: Messages that wait in its mailbox.
    depth: int
    restarts: int
    last_failure: str | None = None
    children: tuple["ActorNode", ...] = ()


class ReplicaView(msgspec.Struct, frozen=True, kw_only=True):
    """One running process."""

    replica_id: int
    name: str
    started_at: datetime
    beat_at: datetime
    #: How many hash slots it holds.
    slots: int
    #: How many bots it keeps alive.
    bots: int
    feeds: tuple[FeedView, ...] = ()
    venues: tuple[VenueView, ...] = ()
    #: The top of its tree of actors.
    actors: ActorNode | None = None
    #: What it counts, by name.
    counters: dict[str, float] = {}


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ReplicaView).decode


async def write(redis: Redis, view: ReplicaView) -> None:
    """Tell how this replica stands. Raises `Unavailable`."""
    try:
        async with redis.pipeline(transaction=False) as pipe:
            pipe.set(_KEY.format(view.replica_id), _encode(view), ex=TTL_S)
            pipe.zadd(_INDEX, {str(view.replica_id): view.beat_at.timestamp()})
            gone_before = view.beat_at - timedelta(minutes=1)
            pipe.zremrangebyscore(_INDEX, "-inf", gone_before.timestamp())
            await pipe.execute()
    except (RedisError, OSError) as error:
        raise Unavailable("Redis is away.") from error


async def read_all(redis: Redis) -> Sequence[ReplicaView]:
    """Return the replicas that told of themselves within `TTL_S`, by id. Raises `Unavailable`."""
    try:
        members: list[bytes] = await redis.zrange(_INDEX, 0, -1)  # type: ignore[assignment]  # no scores asked
        replica_ids = sorted(int(member) for member in members)
        if not replica_ids:
            return ()
        texts = await redis.mget([_KEY.format(replica_id) for replica_id in replica_ids])
    except (RedisError, OSError) as error:
        raise Unavailable("Redis is away.") from error
    return tuple(_decode(text) for text in texts if text is not None)
