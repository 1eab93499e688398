"""The hub between a real PostgreSQL, a real Redis and those who watch."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import anyio
import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from botwarden.errors import Missing
from botwarden.http.live_sources import DatabaseRows
from botwarden.http.sse import BYE, Frame, microseconds
from botwarden.http.watcher import Watcher
from botwarden.persistence.broadcast import StateChanged
from botwarden.persistence.database import Database
from botwarden.persistence.tables import bot_states
from botwarden.trading.bot import BotId, BotState, UserId
from tests.http.house import Follower, House, open_house

pytestmark = pytest.mark.anyio


@pytest.fixture
async def house(database, redis_url) -> AsyncIterator[House]:
    async with open_house(database, redis_url) as house:
        yield house


async def test_present_states_come_at_once_and_every_change_after_them(house):
    """Who attaches is told how things stand, and from then on of each commit."""
    ann = await house.user("ann@example.org")
    first, second = await house.bot(ann), await house.bot(ann)
    async with house.watching(ann) as follower:
        assert sorted(data["id"] for data in await follower.read()) == [first.bot_id, second.bot_id]

        changed = await house.commit(first, status="running", daily_pnl=Decimal("-3.200000000000000001"))

        [data] = await follower.read()
        assert data == {
            "id": first.bot_id,
            "status": "running",
            "in_position": False,
            "entry_price": None,
            "daily_pnl": pytest.approx(-3.2),
            "daily_trades_count": 1,
            "last_updated_at": changed.last_updated_at.isoformat().replace("+00:00", "Z"),
            "version": changed.version,
        }
        assert follower.ids[-1] == microseconds(changed.last_updated_at)


async def test_new_bot_appears_and_deleted_one_is_announced(house):
    """On the stream of all bots a new bot appears by its first state, a deleted one by its event."""
    ann = await house.user("ann@example.org")
    async with house.watching(ann) as follower:
        bot = await house.bot(ann)
        await follower.until(bot.bot_id, 1)
        await house.delete(bot)
        await follower.until_deleted(bot.bot_id)


async def test_states_reach_only_their_owner(house):
    """Tenants do not exist for each other: neither states nor deletions nor the bots themselves."""
    ann, bob = await house.user("ann@example.org"), await house.user("bob@example.org")
    hers, his = await house.bot(ann), await house.bot(bob)
    async with house.watching(ann) as follower:
        await house.commit(his)
        await house.delete(his)
        last = await house.commit(hers)
        await follower.until(hers.bot_id, last.version)
        assert set(follower.versions) == {hers.bot_id}
        assert follower.deleted == []

    with pytest.raises(Missing):
        await house.hub.attach(house.watcher(ann, his.bot_id))
    with pytest.raises(Missing):
        await house.hub.attach(house.watcher(bob, hers.bot_id))
    with pytest.raises(Missing):
        await house.hub.attach(house.watcher(ann, BotId(10**15)))


class HeldRows(DatabaseRows):
    """Lets the snapshot of one bot wait."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.held: BotId | None = None
        self.asked, self.released = anyio.Event(), anyio.Event()

    async def read_own(self, user_id: UserId, bot_id: BotId | None) -> Sequence[Frame]:
        if bot_id == self.held is not None:
            self.asked.set()
            await self.released.wait()
        return await super().read_own(user_id, bot_id)


async def test_asking_for_a_bot_of_somebody_else_disturbs_nobody(database, redis_url):
    """Word that was lost is made up for also while a stranger's request for a bot is being looked at."""
    rows = HeldRows(database)
    async with open_house(database, redis_url, rows=rows) as house:
        ann, bob = await house.user("ann@example.org"), await house.user("bob@example.org")
        hers, rows.held = await house.bot(ann), (await house.bot(bob)).bot_id

        async def ask_for_his() -> None:
            with pytest.raises(Missing):
                await house.hub.attach(house.watcher(ann, rows.held))

        async with house.watching(ann, hers.bot_id) as follower, anyio.create_task_group() as group:
            group.start_soon(ask_for_his)
            await rows.asked.wait()
            lost = await house.commit(hers, tells=False)
            house.hub.missed()
            await follower.until(hers.bot_id, lost.version)
            rows.released.set()


async def test_follower_of_one_bot_hears_of_no_other(house):
    """The stream of one bot is about that bot."""
    ann = await house.user("ann@example.org")
    mine, other = await house.bot(ann), await house.bot(ann)
    async with house.watching(ann, mine.bot_id) as follower:
        await house.commit(other)
        last = await house.commit(mine)
        await follower.until(mine.bot_id, last.version)
        assert set(follower.versions) == {mine.bot_id}


async def trade(house: House, bot: BotState, times: int) -> None:
    for _ in range(times):
        await house.commit(bot)


async def come_and_go(house: House, user_id: UserId, bot_id: BotId | None) -> None:
    while True:
        async with house.watching(user_id, bot_id) as follower:
            for _ in range(20):
                await follower.read()


async def stay(house: House, flock: Sequence[BotState], version: int) -> None:
    async with house.watching(flock[0].user_id) as follower:
        for bot in flock:
            await follower.until(bot.bot_id, version)


async def test_versions_only_rise_while_thousands_of_changes_and_clients_come_and_go(house):
    """Whenever a client attaches, it sees each bot's versions rise, and in the end the newest."""
    ann = await house.user("ann@example.org")
    flock = [await house.bot(ann) for _ in range(8)]

    async with anyio.create_task_group() as passers_by:
        for bot_id in (None, flock[0].bot_id) * 3:
            passers_by.start_soon(come_and_go, house, ann, bot_id)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(stay, house, flock, 151)
            for bot in flock:
                group.start_soon(trade, house, bot, 150)
        passers_by.cancel_scope.cancel()


async def test_idle_watchers_cost_no_query(house):
    """While Redis is up and nothing happens, nobody who watches makes the database work."""
    ann = await house.user("ann@example.org")
    bot = await house.bot(ann)
    async with house.watching(ann) as one, house.watching(ann, bot.bot_id) as two:
        await one.read()
        await two.read()
        house.statements.clear()
        # Seen from outside: several rounds of the hub's timers pass while Redis answers.
        for _ in range(10):
            await house.hub.ticked()
        assert house.statements == []


async def test_attaching_together_shares_reads(house):
    """A hundred tabs that reconnect at once cost a handful of reads, not a hundred."""
    ann = await house.user("ann@example.org")
    bot = await house.bot(ann)
    house.statements.clear()
    followers: list[Follower] = []

    async def attach() -> None:
        watcher = house.watcher(ann)
        await house.hub.attach(watcher)
        followers.append(Follower(watcher))

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(attach)

    assert len([statement for statement in house.statements if "bot_states" in statement]) <= 20
    for follower in followers:
        assert [data["id"] for data in await follower.read()] == [bot.bot_id]
        house.hub.detach(follower.watcher)


async def test_redis_killed_is_made_up_for_by_reading(house):
    """While Redis is away changes and deletions come more slowly; afterwards word is fast again."""
    ann = await house.user("ann@example.org")
    bot, doomed = await house.bot(ann), await house.bot(ann)
    async with house.watching(ann) as follower, house.watching(ann, bot.bot_id) as other:
        await follower.read()
        await house.kill_redis()
        lost = await house.commit(bot, tells=False)
        await house.delete(doomed, tells=False)

        await follower.until(bot.bot_id, lost.version)
        await follower.until_deleted(doomed.bot_id)
        await other.until(bot.bot_id, lost.version)

        with anyio.fail_after(10):
            while not house.broadcast.connected:
                await house.hub.ticked()
        told = await house.commit(bot)
        await follower.until(bot.bot_id, told.version)


async def test_word_lost_in_a_gap_is_read(house):
    """When the reader's connection breaks for a moment, what was said meanwhile is read once it is back."""
    ann = await house.user("ann@example.org")
    bot = await house.bot(ann)
    async with house.watching(ann) as follower:
        await follower.read()
        async with Redis.from_url(house.redis_url) as client:
            lost = await house.commit(bot, tells=False)
            await client.client_kill_filter(_type="pubsub")
        await follower.until(bot.bot_id, lost.version)


async def test_client_can_attach_while_redis_is_away(house):
    """Without Redis a stream still opens, shows the present, and misses nothing while Redis comes back."""
    ann = await house.user("ann@example.org")
    bot = await house.bot(ann)
    await house.kill_redis()
    async with house.watching(ann) as follower:
        await follower.until(bot.bot_id, 1)
        # Redis may be away still, or be back by now: the word is lost, or heard.
        told = await house.commit(bot)
        await follower.until(bot.bot_id, told.version)


async def resumed(house: House, marker: BotState, since_us: int | None) -> set[int]:
    """Return which bots, but the marker, a client with this last id is told of at once."""
    async with house.watching(marker.user_id, since_us=since_us) as follower:
        last = await house.commit(marker)
        await follower.until(marker.bot_id, last.version)
        return set(follower.versions) - {marker.bot_id}


async def test_resume_tells_what_changed_since(house):
    """A resumed stream leaves out what the client has, reaching 30 s back, and makes up for the rest."""
    ann = await house.user("ann@example.org")
    old, new, marker = await house.bot(ann), await house.bot(ann), await house.bot(ann)
    async with house.database.begin() as tx:
        hour_ago = new.last_updated_at - timedelta(hours=1)
        # Without the trigger that guards the time, in this transaction only.
        await tx.execute(text("SET LOCAL session_replication_role = replica"))
        await tx.execute(
            bot_states.update().where(bot_states.c.bot_id == old.bot_id).values(last_updated_at=hour_ago)
        )
    old_us, new_us = microseconds(hour_ago), microseconds(new.last_updated_at)
    everything = {old.bot_id, new.bot_id}

    assert await resumed(house, marker, None) == everything
    assert await resumed(house, marker, old_us) == everything
    assert await resumed(house, marker, old_us + 29_000_000) == everything
    assert await resumed(house, marker, old_us + 31_000_000) == {new.bot_id}
    # What changed within the last 30 s may have become visible after a later change: it is told again.
    assert await resumed(house, marker, new_us + 1) == {new.bot_id}
    # An id of the future is none of ours.
    assert await resumed(house, marker, new_us + 3_600_000_000) == everything


async def test_resume_names_the_bots_that_were_deleted_since(house):
    """A client that was away is told which of its bots are gone: nobody else's, and none that it knew of."""
    ann, bob = await house.user("ann@example.org"), await house.user("bob@example.org")
    gone, marker, his = await house.bot(ann), await house.bot(ann), await house.bot(bob)
    for bot in (gone, his):
        await house.delete(bot)
    seen_us = microseconds(gone.last_updated_at)
    assert await deletions(house, marker, seen_us) == [gone.bot_id]
    assert await deletions(house, marker, None) == []
    assert await deletions(house, marker, seen_us, of_one=True) == []
    async with house.database.begin() as tx:
        # As if a minute had passed.
        await tx.execute(text("UPDATE deleted_bots SET deleted_at = deleted_at - interval '1 minute'"))
    assert await deletions(house, marker, seen_us) == []


async def deletions(
    house: House, marker: BotState, since_us: int | None, *, of_one: bool = False
) -> list[int]:
    """Return which bots a client with this last id is told of as deleted at once."""
    bot_id = marker.bot_id if of_one else None
    async with house.watching(marker.user_id, bot_id, since_us=since_us) as follower:
        last = await house.commit(marker)
        await follower.until(marker.bot_id, last.version)
        return follower.deleted


async def test_resumed_client_never_sees_an_older_version(house):
    """What a resume leaves out is known: word of it that comes late is dropped."""
    ann = await house.user("ann@example.org")
    bot = await house.bot(ann)
    newer = await house.commit(bot)
    async with house.watching(ann) as follower:
        await follower.until(bot.bot_id, newer.version)
        await house.broadcast.publish_states([StateChanged.of(bot)])
        last = await house.commit(bot)
        await follower.until(bot.bot_id, last.version)


@pytest.mark.parametrize("redis_is_there", [True, False])
async def test_revoked_token_ends_its_streams_only(house, redis_is_there):
    """A token that dies takes its streams along, and nobody else's; with or without Redis."""
    ann = await house.user("ann@example.org")
    bot = await house.bot(ann)
    dead, good = house.watcher(ann, token=b"dead"), house.watcher(ann)
    await house.hub.attach(dead)
    await house.hub.attach(good)
    assert await dead.take()
    if redis_is_there:
        await house.broadcast.publish_revoked([b"dead"])
    else:
        await house.kill_redis()

    with anyio.fail_after(10):
        assert await dead.take() == b""
    last = await house.commit(bot)
    await Follower(good).until(bot.bot_id, last.version)


async def test_expired_token_ends_its_stream(house):
    """Credentials that end by time end the stream."""
    ann = await house.user("ann@example.org")
    await house.bot(ann)
    watcher = house.watcher(ann, until=datetime.now(UTC))
    await house.hub.attach(watcher)
    with anyio.fail_after(10):
        pieces = [piece async for piece in _pieces(watcher)]
    assert len(pieces) <= 1


async def _pieces(watcher: Watcher) -> AsyncIterator[bytes]:
    while piece := await watcher.take():
        yield piece


async def test_stopping_says_goodbye_to_everyone(house):
    """When the server stops, each stream ends at once with `event: bye`."""
    ann = await house.user("ann@example.org")
    await house.bot(ann)
    watchers: Sequence[Watcher] = [house.watcher(ann) for _ in range(20)]
    for watcher in watchers:
        await house.hub.attach(watcher)
    house.stopping.set()
    with anyio.fail_after(5):
        for watcher in watchers:
            pieces = [piece async for piece in _pieces(watcher)]
            assert pieces[-1] == BYE
            house.hub.detach(watcher)
