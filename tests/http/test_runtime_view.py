"""What administrators see of the replicas."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from botwarden.persistence import replica_view, users
from botwarden.persistence.replica_view import ActorNode, ReplicaView
from tests.http.stage import Stage, open_stage

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
async def stage(database, redis_url) -> AsyncIterator[Stage]:
    async with open_stage(database, redis_url) as stage:
        yield stage


async def admin(stage: Stage) -> str:
    user_id = await stage.house.user("root@example.org")
    async with stage.doors.database.begin() as tx:
        await users.set_role(tx, user_id, "admin")
    return await stage.token(user_id)


async def test_administrators_see_each_replica_and_its_actors(stage):
    """Who holds what, and how each actor fares: mailbox, restarts, last failure."""
    for replica_id, bots in ((1, 3), (2, 4)):
        await replica_view.write(
            stage.doors.cache.redis,
            ReplicaView(
                replica_id=replica_id,
                name=f"replica-{replica_id}",
                started_at=NOW,
                beat_at=NOW,
                slots=512,
                bots=bots,
                actors=ActorNode(
                    name="warden",
                    alive=True,
                    depth=0,
                    restarts=0,
                    children=(
                        ActorNode(name="bot:7", alive=False, depth=5, restarts=2, last_failure="KeyError: 1"),
                    ),
                ),
            ),
        )

    answer = await stage.get("/api/v1/runtime", await admin(stage))

    assert answer.status_code == 200
    runtime = answer.json()
    assert (runtime["slots"], runtime["bots"]) == (1024, 7)
    assert [replica["name"] for replica in runtime["replicas"]] == ["replica-1", "replica-2"]
    assert runtime["replicas"][0]["actors"]["children"][0] == {
        "name": "bot:7",
        "alive": False,
        "depth": 5,
        "restarts": 2,
        "last_failure": "KeyError: 1",
        "children": [],
    }


async def test_others_see_nothing(stage):
    """Users are not shown what runs; strangers are not let in."""
    token = await stage.token(await stage.house.user("ann@example.org"))
    assert (await stage.get("/api/v1/runtime", token)).status_code == 403
    assert (await stage.get("/api/v1/runtime")).status_code == 401


async def test_without_replicas_there_is_nothing_to_show(stage):
    """An API without actors shows an empty list."""
    answer = await stage.get("/api/v1/runtime", await admin(stage))
    assert answer.json() == {"replicas": [], "slots": 0, "bots": 0}
