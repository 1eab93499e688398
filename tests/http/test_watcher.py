"""One client's slots: newest wins, never backwards, bounded."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from botwarden.http.sse import BYE, HEARTBEAT, Frame, LiveState
from botwarden.http.watcher import PIECE_BYTES, Ending, Watcher
from botwarden.trading.bot import BotId, UserId

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)


def frame(bot_id: int, version: int, *, after_s: float = 0, pnl: str = "0", status: str = "running") -> Frame:
    return Frame(
        LiveState(
            id=bot_id,
            status=status,
            in_position=False,
            entry_price=None,
            daily_pnl=Decimal(pnl),
            daily_trades_count=0,
            last_updated_at=START + timedelta(seconds=after_s),
            version=version,
        )
    )


def watcher(bot_id: int | None = None) -> Watcher:
    return Watcher(
        user_id=UserId(1),
        bot_id=None if bot_id is None else BotId(bot_id),
        token_hash=b"hash",
        expires_at=START + timedelta(days=1),
        monotonic=lambda: 0.0,
    )


def messages(piece: bytes) -> list[tuple[int, int, int]]:
    """Return (event id, bot, version) of each message of a piece."""
    found = []
    for message in piece.decode().strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in message.split("\n"))
        data = msgspec.json.decode(fields["data"])
        found.append((int(fields["id"]), data["id"], data["version"]))
    return found


async def test_newest_state_replaces_what_was_not_taken():
    """A slow client gets the newest state of each bot, not what led to it."""
    client = watcher()
    for version in range(1, 1001):
        client.offer(frame(7, version, after_s=version))
        client.offer(frame(8, version, after_s=version + 0.5))

    taken = messages(await client.take())

    assert [(bot_id, version) for _, bot_id, version in taken] == [(7, 1000), (8, 1000)]


async def test_older_version_is_never_given_after_a_newer_one():
    """Word that comes late, or twice, is dropped, before and after the newer state was taken."""
    client = watcher()
    client.offer(frame(7, 5))
    client.offer(frame(7, 4))
    assert [version for _, _, version in messages(await client.take())] == [5]

    client.offer(frame(7, 5))
    client.offer(frame(7, 3))
    client.offer(frame(7, 6))

    assert [version for _, _, version in messages(await client.take())] == [6]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 50), st.booleans()), max_size=80))
def test_versions_rise_in_whatever_order_word_arrives(word):
    """For every order of arrivals and of takes, a bot's versions rise strictly, and the newest arrives."""
    client, seen = watcher(), {}

    async def follow() -> None:
        for bot_id, version, takes in [*word, (99, 1, True)]:
            client.offer(frame(bot_id, version, after_s=version))
            if takes and client._pending:
                for _, bot, got in messages(await client.take()):
                    assert got > seen.get(bot, 0)
                    seen[bot] = got

    anyio.run(follow)

    newest: dict[int, int] = {}
    for bot_id, version, _ in word:
        newest[bot_id] = max(version, newest.get(bot_id, 0))
    assert seen == {**newest, 99: 1}


async def test_pieces_go_out_in_the_order_of_their_ids():
    """A client that is cut in between resumes from its last id: all smaller ids must have gone before."""
    client = watcher()
    count = 3 * PIECE_BYTES // len(frame(1, 1).encoded)
    for bot_id in range(1, count + 1):
        client.offer(frame(bot_id, 1, after_s=-bot_id))

    first = await client.take()
    client.offer(frame(count + 1, 1, after_s=5))
    pieces = [first]
    while client._pending or client._round:
        pieces.append(await client.take())

    assert len(pieces) >= 3
    assert all(len(piece) < PIECE_BYTES + 1000 for piece in pieces)
    ids = [event_id for piece in pieces for event_id, _, _ in messages(piece)]
    assert sorted(ids) == ids
    assert len(ids) == count + 1


async def test_deleted_bot_is_told_once_and_never_comes_back():
    """After `event: deleted` nothing about that bot follows, however late its last states arrive."""
    client = watcher()
    client.offer(frame(7, 5))
    await client.take()
    client.forget(BotId(7))
    client.forget(BotId(7))
    client.offer(frame(7, 6))
    client.beat()

    assert await client.take() == b'event: deleted\ndata: {"id": 7}\n\n'
    assert client.known == []


async def test_stream_of_one_bot_ends_with_its_deletion():
    """The stream of a single bot has nothing more to say once the bot is deleted."""
    client = watcher(7)
    client.offer(frame(7, 5))
    client.forget(BotId(7))

    assert await client.take() == b'event: deleted\ndata: {"id": 7}\n\n'
    assert await client.take() == b""


async def test_goodbye_comes_before_everything_pending():
    """Shutting down ends a stream at once with one `event: bye`."""
    client = watcher()
    client.offer(frame(7, 5))
    client.end(Ending.BYE)

    assert await client.take() == BYE
    assert await client.take() == b""


async def test_revoked_client_is_told_nothing_more():
    """What is pending when the credentials end is not sent."""
    client = watcher()
    client.offer(frame(7, 5))
    client.end(Ending.OVER)

    assert await client.take() == b""


async def test_heartbeat_is_only_for_the_silent():
    """A message serves as a heartbeat, too."""
    client = watcher()
    client.beat()
    assert await client.take() == HEARTBEAT

    client.beat()
    client.offer(frame(7, 5))
    assert [version for _, _, version in messages(await client.take())] == [5]
    client.end(Ending.OVER)
    assert await client.take() == b""


async def test_waiting_client_is_woken_by_an_offer():
    """A client that has everything waits without polling, and wakes when something comes."""
    client, taken = watcher(), []

    async def follow() -> None:
        taken.append(await client.take())

    async with anyio.create_task_group() as group:
        group.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        assert taken == []
        client.offer(frame(7, 1))

    assert [bot_id for _, bot_id, _ in messages(taken[0])] == [7]
