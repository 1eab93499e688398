"""What replicas tell of themselves, through a real Redis."""

from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from botwarden.errors import Unavailable
from botwarden.persistence import replica_view
from botwarden.persistence.replica_view import ActorNode, FeedView, ReplicaView, VenueView
from botwarden.trading.bot import Venue

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def view(replica_id: int, *, beat_at: datetime = NOW) -> ReplicaView:
    return ReplicaView(
        replica_id=replica_id,
        name=f"replica-{replica_id}",
        started_at=NOW,
        beat_at=beat_at,
        slots=512,
        bots=20,
        feeds=(FeedView(venue=Venue.PAPER, symbol="BTCUSDT", state="live", last_price_at=NOW),),
        venues=(VenueView(venue=Venue.PAPER, state="ok", clock_offset_ms=1.5, used_weight=12),),
        actors=ActorNode(
            name="warden",
            alive=True,
            depth=0,
            restarts=1,
            last_failure="ValueError: it broke",
            children=(ActorNode(name="bots", alive=True, depth=3, restarts=0),),
        ),
        counters={"commits": 7.0},
    )


@pytest.fixture
async def redis(redis_url):
    async with Redis.from_url(redis_url) as client:
        yield client


async def test_views_come_back_whole_and_in_order(redis):
    """What a replica told is read as it was, replicas in the order of their ids."""
    await replica_view.write(redis, view(2))
    await replica_view.write(redis, view(1))
    await replica_view.write(redis, view(1, beat_at=NOW + timedelta(seconds=1)))

    assert await replica_view.read_all(redis) == (view(1, beat_at=NOW + timedelta(seconds=1)), view(2))


async def test_nobody_there_is_nobody(redis):
    """Without replicas there is nothing to show, and that is no error."""
    assert await replica_view.read_all(redis) == ()


async def test_silent_replica_lapses(redis):
    """A view lives for some seconds only; a replica that is gone is gone from here."""
    await replica_view.write(redis, view(1))
    assert 0 < await redis.ttl("botwarden:replica:1") <= replica_view.TTL_S

    await redis.delete("botwarden:replica:1")

    assert await replica_view.read_all(redis) == ()


async def test_names_of_the_gone_do_not_pile_up(redis):
    """The index forgets a replica that has been silent for a minute."""
    await replica_view.write(redis, view(1))
    await replica_view.write(redis, view(2, beat_at=NOW + timedelta(minutes=2)))

    assert await redis.zcard("botwarden:replicas") == 1


async def test_redis_away_is_unavailable(tmp_path):
    """Without Redis both sides say so by our own name for it."""
    async with Redis(unix_socket_path=str(tmp_path / "nobody"), retry=None) as nobody:
        with pytest.raises(Unavailable):
            await replica_view.write(nobody, view(1))
        with pytest.raises(Unavailable):
            await replica_view.read_all(nobody)
