"""Word travels through Redis; while Redis is away nobody is held up, and then all know of the gap."""

from datetime import UTC, datetime
from decimal import Decimal

import anyio
import pytest
import structlog
from msgspec.structs import replace
from redis.asyncio import Redis

from botwarden.persistence.broadcast import Broadcast, StateChanged
from botwarden.persistence.subscriptions import Subscriptions
from botwarden.trading.bot import BotId, UserId, new_state
from chaos.line import line_to_redis
from tests.persistence.examples import until

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)
OWNER, OTHER = UserId(1), UserId(2)


def word(bot_id: int, owner: UserId = OWNER, **changes) -> StateChanged:
    state = replace(new_state(BotId(bot_id), owner, now=NOW), **changes)
    return StateChanged.of(state)


@pytest.fixture
async def line(redis_url):
    line, through = line_to_redis(redis_url)
    await line.open()
    line.url = through()
    yield line
    await line.cut()


@pytest.fixture
async def broadcast(line):
    """A broadcast whose reader runs, over a line that can be cut."""
    # Word that is late is lost, as it may be; what is said here shall arrive on a slow machine too.
    broadcast = Broadcast(line.url, publish_within_s=10.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(broadcast.run)
        await until(lambda: broadcast.connected)
        yield broadcast
        tasks.cancel_scope.cancel()
    await broadcast.close()


class Ear:
    """Keeps what it hears."""

    def __init__(self):
        self.states, self.deleted, self.gaps = [], [], 0

    async def attach(self, broadcast, owner=OWNER):
        with anyio.fail_after(10):
            await broadcast.subscribe_user(owner, self.states.extend, self.deleted.append)

    def gap(self):
        self.gaps += 1


async def test_states_reach_their_owners_watchers_only(broadcast):
    """One batch tells each owner of his own bots, every amount to its last digit."""
    mine, others = Ear(), Ear()
    await mine.attach(broadcast)
    await others.attach(broadcast, OTHER)
    exact = word(1, daily_pnl=Decimal("-0.000000000000000001"), entry_price=Decimal("64250.10"))
    await broadcast.publish_states([exact, word(2, OTHER), word(3)])
    await until(lambda: len(mine.states) == 2 and len(others.states) == 1)
    assert mine.states == [exact, word(3)]
    assert others.states == [word(2, OTHER)]
    assert broadcast.published == 2


async def test_words_of_other_kinds_arrive(broadcast):
    """Wake-ups, dead tokens and deleted bots reach those who asked for them."""
    ear, woken, revoked = Ear(), [], []
    await broadcast.on_wake(woken.extend)
    await broadcast.on_revoked(revoked.extend)
    await ear.attach(broadcast)
    await broadcast.publish_wake([BotId(4), BotId(5)])
    await broadcast.publish_revoked([b"\x00\xff"])
    await broadcast.publish_deleted(OWNER, BotId(6))
    await until(lambda: len(woken) == 3 and bool(revoked) and bool(ear.deleted))
    assert (woken, revoked, ear.deleted) == ([4, 5, 6], [b"\x00\xff"], [6])


async def test_after_unsubscribing_nothing_is_heard(broadcast):
    """A room that is closed hears no more; opened again it hears everything from then on."""
    ear, other = Ear(), Ear()
    await ear.attach(broadcast)
    await other.attach(broadcast, OTHER)
    for bot_id in range(1, 20):
        await broadcast.unsubscribe_user(OWNER)
        await ear.attach(broadcast)
        await broadcast.publish_states([word(bot_id)])
    await until(lambda: len(ear.states) == 19)
    await broadcast.unsubscribe_user(OWNER)
    await broadcast.publish_states([word(99), word(1, OTHER)])
    await until(lambda: bool(other.states))
    assert [state.bot_id for state in ear.states] == list(range(1, 20))


async def test_a_lost_connection_is_made_again_and_tells_of_the_gap(broadcast, redis_url):
    """When Redis drops the reader, it comes back by itself, with every subscription."""
    ear = Ear()
    await ear.attach(broadcast)
    broadcast.on_gap(ear.gap)
    async with Redis.from_url(redis_url) as redis:
        await redis.client_kill_filter(_type="pubsub")
    await until(lambda: ear.gaps == 1)
    await broadcast.publish_states([word(1)])
    await until(lambda: ear.states == [word(1)])


async def test_while_redis_is_away_nobody_is_held_up(broadcast, line):
    """Publishing returns, counts what was lost and raises nothing; afterwards word flows again."""
    ear = Ear()
    broadcast.on_gap(ear.gap)
    await ear.attach(broadcast)
    await line.cut()
    await until(lambda: not broadcast.connected)
    with anyio.fail_after(5):
        await broadcast.publish_states([word(1)])
        await broadcast.publish_wake([BotId(1)])
    assert broadcast.lost == 2
    late = Ear()
    with anyio.move_on_after(0.05) as patience:
        await broadcast.subscribe_user(OTHER, late.states.extend, late.deleted.append)
    assert patience.cancelled_caught
    await line.open()
    await until(lambda: ear.gaps == 1 and broadcast.connected)
    await broadcast.publish_states([word(2), word(3, OTHER)])
    await until(lambda: ear.states == [word(2)] and late.states == [word(3, OTHER)])


async def test_a_message_of_another_form_is_passed_over(broadcast, redis_url):
    """Word that cannot be read, as from another release, ends nothing."""
    ear = Ear()
    await ear.attach(broadcast)
    async with Redis.from_url(redis_url) as redis:
        await redis.publish(f"botwarden:status:{OWNER}", b'[{"bot_id": "x"}]')
        await redis.publish(f"botwarden:status:{OWNER}", b"no json")
    await broadcast.publish_states([word(1)])
    await until(lambda: ear.states == [word(1)])


async def test_installations_do_not_hear_each_other(broadcast, line):
    """Another prefix is another installation."""
    ear = Ear()
    await ear.attach(broadcast)
    other = Broadcast(line.url, prefix="another", publish_within_s=10.0)
    await other.publish_states([word(1)])
    await other.close()
    await broadcast.publish_states([word(2)])
    await until(lambda: bool(ear.states))
    assert ear.states == [word(2)]


async def test_wish_that_is_withdrawn_while_connecting_holds_up_nobody(line):
    """A channel that nobody wants any more is not waited for: everybody else is heard all the same."""
    subscriptions, heard = Subscriptions(line.url), []
    subscriptions.add("kept", heard.append)
    subscriptions.add("withdrawn", heard.append)

    def withdraw(sent: bytes) -> bool:
        if b"withdrawn" in sent:
            subscriptions.remove("withdrawn")
        return False

    line.deafen = withdraw
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(subscriptions.run)
        await until(lambda: subscriptions.connected)
        tasks.cancel_scope.cancel()
    await subscriptions.close()


async def test_the_log_says_that_it_is_redis_that_is_away():
    """Whoever reads the line learns what is missed and where it was looked for; never the password."""
    subscriptions = Subscriptions("redis://:hush@127.0.0.1:9/0")
    with structlog.testing.capture_logs() as entries:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(subscriptions.run)
            await until(lambda: bool(entries))
            tasks.cancel_scope.cancel()
    await subscriptions.close()
    assert entries[0]["event"] == "redis.disconnected"
    assert "127.0.0.1:9" in entries[0]["error"]
    assert "hush" not in str(entries)
