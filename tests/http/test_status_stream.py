"""The live stream as clients see it: a real server, a real PostgreSQL, a real Redis."""

import itertools
import json
import socket
from collections.abc import AsyncIterator

import anyio
import pytest
from httpx_sse import ServerSentEvent

from botwarden.http.sse import microseconds
from botwarden.trading.bot import BotState
from tests.http.stage import Stage, hashed, open_stage

pytestmark = pytest.mark.anyio

ALL = "/api/v1/bots/status-stream"


@pytest.fixture
async def stage(database, redis_url) -> AsyncIterator[Stage]:
    async with open_stage(database, redis_url) as stage:
        yield stage


@pytest.fixture
async def ann(stage):
    """A user with a bot and a token."""
    user_id = await stage.house.user("ann@example.org")
    return await stage.house.bot(user_id), await stage.token(user_id)


def one(bot: BotState) -> str:
    return f"/api/v1/bots/{bot.bot_id}/status-stream"


async def until(received: AsyncIterator[ServerSentEvent], version: int) -> list[int]:
    """Read until this version; return all versions on the way."""
    versions: list[int] = []
    async for event in received:
        versions.append(event.json()["version"])
        if versions[-1] == version:
            break
    return versions


async def test_committed_change_is_delivered(stage, ann):
    """Each of ten commits is delivered, as JSON, to who watches (peer 1 delivered none of ten)."""
    bot, token = ann
    async with stage.events(ALL, token) as source:
        received = source.aiter_sse()
        assert (await anext(received)).json()["status"] == "stopped"
        for number in range(10):
            changed = await stage.house.commit(bot, status=f"waiting (change-{number})")
            event = await anext(received)
            assert event.json()["status"] == f"waiting (change-{number})"
            assert event.id == str(microseconds(changed.last_updated_at))
            assert event.event == "message"


async def test_data_is_json_with_the_contracts_fields(stage, ann):
    """`data` is JSON and holds exactly what the contract names (peer 1 sent a Python repr)."""
    bot, token = ann
    async with stage.events(one(bot), token) as source:
        event = await anext(source.aiter_sse())
    assert set(json.loads(event.data)) == {
        "id",
        "status",
        "in_position",
        "entry_price",
        "daily_pnl",
        "daily_trades_count",
        "last_updated_at",
        "version",
    }


async def test_stream_of_anothers_bot_is_not_there(stage, ann):
    """User B asking for A's bot gets what he would get for no bot at all (peer 1 gave him A's data)."""
    bot, _ = ann
    bob = await stage.token(await stage.house.user("bob@example.org"))

    his = await stage.get(one(bot), bob)
    nobodys = await stage.get("/api/v1/bots/999999999/status-stream", bob)

    assert his.status_code == nobodys.status_code == 404
    assert his.content == nobodys.content


async def test_stream_needs_credentials(stage, ann):
    """Without good credentials there is no stream."""
    bot, _ = ann
    for token in (None, "wrong"):
        assert (await stage.get(ALL, token)).status_code == 401
        assert (await stage.get(one(bot), token)).status_code == 401


async def test_cookie_opens_a_stream(stage, ann):
    """Browsers' EventSource cannot send headers: the cookie will do."""
    _, token = ann
    async with stage.events(ALL, cookie=f"botwarden={token}") as source:
        assert (await anext(source.aiter_sse())).json()["version"] == 1


async def test_fifty_streams_leave_the_pool_alone(stage, ann):
    """Fifty streams hold no connection and ask nothing while idle (peer 1's pool was empty at 15)."""
    bot, token = ann
    async with anyio.create_task_group() as group:
        seen = 0
        everyone_is_there = anyio.Event()

        async def watch(path: str) -> None:
            nonlocal seen
            async with stage.events(path, token) as source:
                received = source.aiter_sse()
                await anext(received)
                seen += 1
                if seen == 50:
                    everyone_is_there.set()
                async for _ in received:
                    pass

        for path in itertools.islice(itertools.cycle([ALL, one(bot)]), 50):
            group.start_soon(watch, path)
        with anyio.fail_after(20):
            await everyone_is_there.wait()

        assert stage.doors.database.engine.pool.checkedout() == 0
        stage.house.statements.clear()
        for _ in range(5):
            await stage.house.hub.ticked()
        assert stage.house.statements == []
        assert (await stage.get("/health/ready")).json()["checks"]["database"] == "ok"
        group.cancel_scope.cancel()


async def test_client_that_does_not_read_slows_nobody(database, redis_url):
    """A stalled client is dropped after its deadline; meanwhile others get every change at once."""
    async with open_stage(database, redis_url, write_within_s=1.0) as stage:
        user_id = await stage.house.user("ann@example.org")
        token = await stage.token(user_id)
        bot = await stage.house.bot(user_id)
        with _stalled(stage.port, token):
            async with stage.events(ALL, token) as source:
                received = source.aiter_sse()
                # Long texts fill the stalled client's line; who reads is told every one of them.
                for number in itertools.count():
                    changed = await stage.house.commit(bot, status=f"waiting ({number:0200000})")
                    assert await until(received, changed.version)
                    if "botwarden_streams_cut_total 1.0" in (await stage.get("/metrics")).text:
                        break
            assert number > 3


def _stalled(port: int, token: str) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {ALL} HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {token}\r\n\r\n".encode())
    return client


async def test_resume_by_last_event_id(stage, ann):
    """A client that comes back with its last id gets the newest state of what changed meanwhile."""
    bot, token = ann
    async with stage.events(ALL, token) as source:
        event = await anext(source.aiter_sse())
    for _ in range(20):
        last = await stage.house.commit(bot)

    async with stage.events(ALL, token, **{"last-event-id": event.id}) as source:
        assert await until(source.aiter_sse(), last.version) == [last.version]


async def test_odd_ids_get_everything(stage, ann):
    """An id that is none of ours gets the present state of everything."""
    bot, token = ann
    for last_id in ("never", "-1", "99999999999999999", "1e3", ""):
        async with stage.events(ALL, token, **{"last-event-id": last_id}) as source:
            assert (await anext(source.aiter_sse())).json()["id"] == bot.bot_id


async def test_logout_ends_the_stream(stage, ann):
    """When the token dies, its streams end."""
    _, token = ann
    async with stage.events(ALL, token) as source:
        received = source.aiter_sse()
        await anext(received)
        await stage.house.broadcast.publish_revoked([hashed(token)])
        with pytest.raises(StopAsyncIteration):
            await anext(received)


async def test_shutdown_says_bye_and_ends(stage, ann):
    """When the server goes away each stream ends at once with `event: bye`, and no new one opens."""
    _, token = ann
    async with stage.events(ALL, token) as source:
        received = source.aiter_sse()
        await anext(received)
        stage.doors.stopping.set()
        assert (await anext(received)).event == "bye"
        with pytest.raises(StopAsyncIteration):
            await anext(received)
    assert (await stage.get(ALL, token)).status_code == 503


async def test_silence_is_broken_by_comments(database, redis_url):
    """A line that has nothing to say is kept by comments; they are no messages."""
    async with open_stage(database, redis_url, heartbeat_s=0.2) as stage:
        token = await stage.token(await stage.house.user("ann@example.org"))
        async with stage.events(ALL, token) as source:
            lines = source.response.aiter_lines()
            with anyio.fail_after(5):
                assert [(await anext(lines))[0] for _ in range(3)] == [":", ":", ":"]


async def test_redis_killed_and_back(stage, ann):
    """While Redis is away streams stay open and go on more slowly; then all is as before."""
    bot, token = ann
    async with stage.events(ALL, token) as source:
        received = source.aiter_sse()
        await anext(received)
        await stage.house.kill_redis()
        for _ in range(3):
            changed = await stage.house.commit(bot)
            with anyio.fail_after(10):
                assert (await anext(received)).json()["version"] == changed.version


async def test_two_tenants_see_only_their_own(stage, ann):
    """Two users that watch at the same time each see their own bots and nothing else."""
    bot, token = ann
    bob = await stage.house.user("bob@example.org")
    bobs, bobs_token = await stage.house.bot(bob), await stage.token(bob)
    async with stage.events(ALL, token) as hers, stage.events(ALL, bobs_token) as his:
        for _ in range(5):
            her_last, his_last = await stage.house.commit(bot), await stage.house.commit(bobs)
        for source, mine, last in ((hers, bot, her_last), (his, bobs, his_last)):
            async for event in source.aiter_sse():
                assert event.json()["id"] == mine.bot_id
                if event.json()["version"] == last.version:
                    break
