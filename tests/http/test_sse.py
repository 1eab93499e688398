"""The response on a real server: what it says, and that no client can hold it."""

import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import anyio
import httpx
import pytest
import uvicorn
from httpx_sse import aconnect_sse

from botwarden.http.sse import EventStream, Frame, LiveState, parse_event_id
from botwarden.http.watcher import Ending, Watcher
from botwarden.trading.bot import BotId, UserId

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 5, 12, 0, 0, 123456, tzinfo=UTC)


def frame(version: int, *, bot_id: int = 7, entry: Decimal | None = None, status: str = "running") -> Frame:
    return Frame(
        LiveState(
            id=bot_id,
            status=status,
            in_position=entry is not None,
            entry_price=entry,
            daily_pnl=Decimal("-3.2"),
            daily_trades_count=2,
            last_updated_at=START + timedelta(microseconds=version),
            version=version,
        )
    )


class Stage:
    """A server that streams one watcher to whoever comes."""

    def __init__(self) -> None:
        self.watcher = Watcher(
            user_id=UserId(1),
            bot_id=None,
            token_hash=b"",
            expires_at=START,
            monotonic=anyio.current_time,
        )
        self.left = anyio.Event()
        self.port = 0

    async def app(self, scope, receive, send) -> None:
        await EventStream(self.watcher, leave=self.left.set)(scope, receive, send)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Stage"]:
        server = uvicorn.Server(
            uvicorn.Config(
                self.app, interface="asgi3", lifespan="off", log_config=None, timeout_graceful_shutdown=1
            )
        )
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            try:
                yield self
            finally:
                self.watcher.end(Ending.OVER)
                self.watcher.cut()
                server.should_exit = True

    @asynccontextmanager
    async def client(self):
        async with (
            httpx.AsyncClient() as http,
            aconnect_sse(http, "GET", f"http://127.0.0.1:{self.port}/") as it,
        ):
            yield it


def raw_client(port: int) -> socket.socket:
    """Return a client that has asked and does not read."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
    return client


def read_all(client: socket.socket) -> None:
    while client.recv(1 << 20):
        pass


async def flood_until_stuck(watcher: Watcher) -> None:
    """Offer states until a write waits for the client."""
    for version in itertools.count(1):
        for bot_id in range(1, 2000):
            watcher.offer(frame(version, bot_id=bot_id))
        began = watcher.writing_since
        for _ in range(200):
            await anyio.lowlevel.checkpoint()
        if began is not None and watcher.writing_since == began:
            return


def test_message_is_what_the_contract_shows():
    """A message has the database's time in microseconds as its id and exact JSON as its data, no name."""
    assert frame(4711, entry=Decimal("64250.100000000000000001")).encoded == (
        b"id: 1767614400128167\n"
        b'data: {"id":7,"status":"running","in_position":true,"entry_price":64250.100000000000000001,'
        b'"daily_pnl":-3.2,"daily_trades_count":2,"last_updated_at":"2026-01-05T12:00:00.128167Z",'
        b'"version":4711}\n\n'
    )


def test_text_cannot_break_out_of_its_message():
    """A line break inside a value stays inside the JSON."""
    assert frame(1, status="a\n\ndata: b\r\nid: 0").encoded.count(b"\n") == 3


def test_amounts_are_in_plain_digits():
    """A tiny amount looks as it does everywhere else in the API; what is text stays as it is."""
    encoded = frame(1, entry=Decimal("1E-8"), status="error (1E-8)").encoded
    assert b'"entry_price":0.00000001,' in encoded
    assert b'"status":"error (1E-8)",' in encoded
    assert b'"last_updated_at":"2026-01-05T12:00:00.123457Z"' in encoded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1767614400123456", 1767614400123456),
        (None, None),
        ("", None),
        ("-5", None),
        ("1e9", None),
        ("12 34", None),
        ("١٢٣", None),
        ("9" * 400, None),
    ],
)
def test_only_our_own_ids_are_understood(text, expected):
    """What a client says was its last id is a plain number of microseconds, or nothing."""
    assert parse_event_id(text) == expected


async def test_headers_keep_proxies_and_caches_out():
    """A stream says what it is, that it is not to be cached, and not to be buffered."""
    async with Stage().open() as stage, stage.client() as events:
        assert events.response.status_code == 200
        assert events.response.headers["content-type"].startswith("text/event-stream")
        assert events.response.headers["cache-control"] == "no-cache"
        assert events.response.headers["x-accel-buffering"] == "no"


async def test_client_reads_what_is_offered():
    """Offered states arrive one after the other, unnamed, with their ids."""
    async with Stage().open() as stage, stage.client() as events:
        received = events.aiter_sse()
        for version in range(1, 50):
            stage.watcher.offer(frame(version))
            event = await anext(received)
            assert (event.event, event.json()["version"]) == ("message", version)
            assert event.id == str(1767614400123456 + version)


async def test_departure_is_noticed_while_nothing_happens():
    """A client that goes away while its stream is idle is forgotten at once."""
    async with Stage().open() as stage:
        async with stage.client() as events:
            stage.watcher.offer(frame(1))
            await anext(events.aiter_sse())
        with anyio.fail_after(5):
            await stage.left.wait()


async def test_loop_goes_on_when_a_client_leaves_in_the_middle_of_a_flood():
    """Offers that never cease do not freeze the loop after the client has left."""
    async with Stage().open() as stage:

        async def flood() -> None:
            version = 0
            while not stage.left.is_set():
                version += 1
                stage.watcher.offer(frame(version))
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(flood)
            async with stage.client() as events:
                received = events.aiter_sse()
                for _ in range(20):
                    await anext(received)
            with anyio.fail_after(5):
                await stage.left.wait()


async def test_client_that_does_not_read_is_cut_off():
    """A write that cannot go on is seen by its age, and cutting the stream frees everything at once."""
    async with Stage().open() as stage:
        with raw_client(stage.port) as client:
            with anyio.fail_after(20):
                await flood_until_stuck(stage.watcher)
                # It waits for the client, and not for what is offered.
                assert len(stage.watcher._pending) + len(stage.watcher._round) < 4000
                stage.watcher.cut()
                await stage.left.wait()
            client.settimeout(5)
            with pytest.raises(ConnectionResetError):
                await anyio.to_thread.run_sync(read_all, client)


async def test_end_of_the_source_ends_the_response():
    """A stream that is over ends orderly: the client sees a complete response."""
    async with Stage().open() as stage, stage.client() as events:
        stage.watcher.offer(frame(1))
        received = events.aiter_sse()
        await anext(received)
        stage.watcher.end(Ending.BYE)
        assert (await anext(received)).event == "bye"
        with pytest.raises(StopAsyncIteration):
            await anext(received)
        await stage.left.wait()


async def test_known_bots_are_those_not_deleted():
    """What a watcher knows is what a deletion can be noticed of."""
    stage = Stage()
    stage.watcher.offer(frame(1, bot_id=1))
    stage.watcher.skip(frame(1, bot_id=2))
    stage.watcher.offer(frame(1, bot_id=3))
    stage.watcher.forget(BotId(3))
    assert sorted(stage.watcher.known) == [1, 2]
