"""Whether requests should come here: only what this replica cannot serve without says no."""

import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from botwarden.http.health import Checkup, ailments
from botwarden.persistence import replica_view
from botwarden.persistence.database import Database
from botwarden.persistence.replica_view import FeedView, ReplicaView, VenueView
from botwarden.trading.bot import Venue
from tests.http.stage import Stage, open_stage

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
CHECKS = {"database", "schema", "redis", "feeds", "venues"}


def view(*, feed: str = "live", venue: str = "ok") -> ReplicaView:
    return ReplicaView(
        replica_id=1,
        name="one",
        started_at=NOW,
        beat_at=NOW,
        slots=1024,
        bots=3,
        feeds=(FeedView(venue=Venue.PAPER, symbol="BTCUSDT", state=feed),),
        venues=(VenueView(venue=Venue.PAPER, state=venue),),
    )


@pytest.fixture
async def stage(database, redis_url) -> AsyncIterator[Stage]:
    async with open_stage(database, redis_url) as stage:
        yield stage


async def test_living_process_says_so(stage):
    """Liveness asks nothing of anybody."""
    stage.house.statements.clear()
    answer = await stage.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert stage.house.statements == []


async def test_ready_when_everything_is_there(stage):
    """Each check is named and ok."""
    await replica_view.write(stage.doors.cache.redis, view())
    answer = await stage.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": dict.fromkeys(CHECKS, "ok"), "reasons": {}}


@pytest.mark.parametrize(("broken", "said"), [("feeds", {"feed": "silent"}), ("venues", {"venue": "away"})])
async def test_trouble_outside_is_degraded(stage, broken, said):
    """A silent feed or an absent venue is told, and requests still come here."""
    await replica_view.write(stage.doors.cache.redis, view(**said))
    answer = await stage.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["checks"] == {**dict.fromkeys(CHECKS, "ok"), broken: "degraded"}
    assert set(answer.json()["reasons"]) == {broken}


async def test_redis_away_is_degraded(stage):
    """Without Redis this replica still serves."""
    async with Redis.from_url(stage.house.redis_url) as client:
        info = await client.info("server")
    os.kill(info["process_id"], signal.SIGKILL)
    answer = await stage.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["checks"]["redis"] == "degraded"


async def test_schema_not_at_head_is_not_ready(stage):
    """A schema that lacks steps is never served."""
    async with stage.doors.database.begin() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    answer = await stage.get("/health/ready")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert answer.json()["status"] == "failed"
    assert answer.json()["checks"]["schema"] == "failed"
    assert answer.json()["checks"]["database"] == "ok"


async def test_schema_without_a_step_is_not_ready(stage):
    """A database that was never migrated is never served."""
    async with stage.doors.database.begin() as tx:
        await tx.execute(text("DELETE FROM alembic_version"))
    answer = await stage.get("/health/ready")
    assert (answer.status_code, answer.json()["checks"]["schema"]) == (503, "failed")


async def test_a_newer_schema_is_degraded_and_served(stage):
    """During a rolling upgrade the schema is ahead of the old replicas, and they go on serving."""
    await replica_view.write(stage.doors.cache.redis, view())
    async with stage.doors.database.begin() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = 'of a later release'"))
    answer = await stage.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["status"] == "degraded"
    assert answer.json()["checks"] == {**dict.fromkeys(CHECKS, "ok"), "schema": "degraded"}
    assert "newer" in answer.json()["reasons"]["schema"]


async def test_database_away_is_not_ready(stage, tmp_path):
    """Without a database this replica serves nothing, and says so without a word about where it is."""
    nowhere = Database.connect(f"postgresql://app@/none?host={tmp_path}")
    readiness = await Checkup(nowhere, stage.doors.cache, stage.doors.stopping).read()
    await nowhere.close()
    assert not readiness.is_ready
    assert readiness.checks["database"] == readiness.checks["schema"] == "failed"
    assert str(tmp_path) not in str(readiness)


async def test_draining_is_not_ready(stage):
    """A replica that goes away says so, so that nothing new is sent to it."""
    stage.doors.stopping.set()
    answer = await stage.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")


def test_ailments_name_each_trouble_once():
    """Two replicas with the same silent feed are one trouble."""
    assert ailments([view(feed="lost", venue="banned"), view(feed="lost", venue="banned"), view()]) == {
        "feeds": "No prices: paper BTCUSDT.",
        "venues": "Venues: paper banned.",
    }
