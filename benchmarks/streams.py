"""From a commit to the clients: our live streams beside the plainest ASGI stream of the same events.

    this process: commits (PostgreSQL), publishes (Redis), and reads every client's socket
    a second process: uvicorn with both streams, fed by the same Redis

`hub` is what the product serves: subscription, slots, versions, deadlines, heartbeats. `bare` writes each
message to each client and does nothing else. Both are measured in turn, several rounds each, and the
medians of the rounds are compared. `told` is from the commit's answer to the client, `whole` from before
the commit. Everybody watches the same bot, so with 1,000 clients each event is 1,000 writes.
"""

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import uvicorn
import uvloop
from sqlalchemy import text

from botwarden.http.hub import StatusHub
from botwarden.http.live_sources import BroadcastWord, DatabaseRows
from botwarden.http.metrics import Metrics
from botwarden.http.sse import HEADERS, EventStream
from botwarden.persistence.broadcast import Broadcast, StateChanged
from botwarden.persistence.database import Database
from botwarden.persistence.live_states import read_own_states
from botwarden.persistence.migrate import upgrade
from botwarden.runtime import SystemClock
from botwarden.trading.bot import BotId, UserId

CLIENTS = (1, 100, 1000)
ROUNDS = 3
EVENTS = 30
#: No round begins after this long.
BUDGET_S = 25.0

USER = UserId(1)
BOT = BotId(1)

_USER = text("INSERT INTO users (email, password_hash) VALUES ('ann@example.org', 'hash')")
_KEY = text(
    "INSERT INTO api_keys (user_id, label, venue, api_key_hint, sealed, sealed_with)"
    " VALUES (1, 'key', 'paper', 'hint', '', 'k1')"
)
_CONFIG = text(
    "INSERT INTO bot_configs (user_id, name, symbol, strategy, timeframe, venue, api_key_id,"
    " check_interval_seconds, initial_capital, position_size_perc, stop_loss_perc, take_profit_perc,"
    " trailing_stop_active, reactivate_daily)"
    " VALUES (1, 'bot', 'BTCUSDT', 'simple', '1m', 'paper', 1, 60, 1000, 10, 2, 4, false, true)"
)
_STATE = text("INSERT INTO bot_states (bot_id, user_id, slot, trading_day) VALUES (1, 1, 1, current_date)")
_CHANGE = text(
    "UPDATE bot_states SET version = version + 1, daily_trades_count = daily_trades_count + 1"
    " WHERE bot_id = 1"
)


# The second process.


class Bare:
    """Writes each message to each client."""

    def __init__(self) -> None:
        self._clients: set[asyncio.Queue[bytes]] = set()

    def heard(self, message: bytes) -> None:
        encoded = b"data: %b\n\n" % message
        for queue in self._clients:
            queue.put_nowait(encoded)

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._clients.add(queue)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._write, queue, send)
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()
        finally:
            self._clients.discard(queue)

    async def _write(self, queue: asyncio.Queue[bytes], send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": b"data: here\n\n", "more_body": True})
        while True:
            await send({"type": "http.response.body", "body": await queue.get(), "more_body": True})


async def serve(database_url: str, redis_url: str) -> None:
    """Serve both streams until told to end; print the port first."""
    database, broadcast, bare_word = (
        Database.connect(database_url),
        Broadcast(redis_url),
        Broadcast(redis_url),
    )
    hub = StatusHub(
        rows=DatabaseRows(database),
        word=BroadcastWord(broadcast),
        clock=SystemClock(),
        metrics=Metrics().streams,
    )
    bare = Bare()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/bare":
            await bare(scope, receive, send)
            return
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        watcher = hub.watcher(user_id=USER, bot_id=BOT, token_hash=b"token", expires_at=tomorrow)
        await hub.attach(watcher)
        await EventStream(watcher, leave=lambda: hub.detach(watcher))(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(app, interface="asgi3", lifespan="off", log_level="error"))
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    async with anyio.create_task_group() as group:
        group.start_soon(broadcast.run)
        group.start_soon(bare_word.run)
        group.start_soon(hub.run, anyio.Event())
        await bare_word.subscribe(f"status:{USER}", bare.heard)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 1_000)
        print(listener.getsockname()[1], flush=True)
        await server.serve([listener])


# This process.


class Client(asyncio.Protocol):
    """Notes when each piece of the stream arrived."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.arrived = asyncio.Event()
        self.last_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(f"GET {self._path} HTTP/1.1\r\nhost: here\r\n\r\n".encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if b"data: " in data:
            self.last_at = time.perf_counter()
            self.arrived.set()


@asynccontextmanager
async def clients(port: int, path: str, count: int) -> AsyncIterator[list[Client]]:
    """Open streams, and wait until each has its first message."""
    loop = asyncio.get_running_loop()
    made: list[Client] = []
    for _ in range(count):
        _, client = await loop.create_connection(lambda: Client(path), "127.0.0.1", port)
        made.append(client)
    for client in made:
        await client.arrived.wait()
    try:
        yield made
    finally:
        for client in made:
            client.transport.close()


async def measure(
    database: Database, broadcast: Broadcast, readers: list[Client]
) -> tuple[list[float], list[float]]:
    """Commit some changes one after the other; return the seconds (whole, told) of each delivery."""
    whole, told = [], []
    for _ in range(EVENTS):
        for client in readers:
            client.arrived.clear()
        began = time.perf_counter()
        async with database.begin() as tx:
            await tx.execute(_CHANGE)
            [state] = await read_own_states(tx, USER, BOT)
        committed = time.perf_counter()
        await broadcast.publish_states(
            [StateChanged(**{f: getattr(state, f) for f in state.__struct_fields__})]
        )
        for client in readers:
            await client.arrived.wait()
        whole += [client.last_at - began for client in readers]
        told += [client.last_at - committed for client in readers]
    return whole, told


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile, in milliseconds."""
    ordered = sorted(seconds)
    return statistics.median(ordered) * 1e3, ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1e3


@contextlib.contextmanager
def second_process(database_url: str, redis_url: str) -> Iterator[int]:
    """Start the server; give its port."""
    read_end, write_end = os.pipe()
    words = [sys.executable, "-m", "benchmarks.streams", "--serve", database_url, redis_url]
    child = os.posix_spawn(
        sys.executable, words, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, write_end, 1)]
    )
    os.close(write_end)
    with os.fdopen(read_end) as said:
        try:
            yield int(said.readline())
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


async def compare(database_url: str, redis_url: str) -> None:
    """Measure both streams in turn and print their medians."""
    database, broadcast = Database.connect(database_url), Broadcast(redis_url)
    async with database.begin() as tx:
        for statement in (_USER, _KEY, _CONFIG, _STATE):
            await tx.execute(statement)
    figures: dict[tuple[int, str], list[tuple[float, float, float, float]]] = {}
    began = time.monotonic()
    with second_process(database_url, redis_url) as port:
        for _ in range(ROUNDS):
            for count in CLIENTS:
                for path in ("/hub", "/bare"):
                    if time.monotonic() - began > BUDGET_S:
                        break
                    async with clients(port, path, count) as readers:
                        whole, told = await measure(database, broadcast, readers)
                    figures.setdefault((count, path), []).append((*percentiles(told), *percentiles(whole)))
    await broadcast.close()
    await database.close()
    report(figures)


def report(figures: dict[tuple[int, str], list[tuple[float, float, float, float]]]) -> None:
    """Print one line per number of clients and stream: medians of the rounds."""
    print("clients  stream  told p50 ms  told p99 ms  whole p50 ms  whole p99 ms  hub/bare (told p50)")
    for (count, path), rounds in sorted(figures.items()):
        middle = [statistics.median(column) for column in zip(*rounds, strict=True)]
        bare = [statistics.median(column) for column in zip(*figures[count, "/bare"], strict=True)]
        ratio = f"{middle[0] / bare[0]:.2f}" if path == "/hub" else ""
        cells = "  ".join(f"{value:11.2f}" for value in middle)
        print(f"{count:7}  {path[1:]:6} {cells}  {ratio:>8}")


async def measured() -> None:
    """Start servers of our own in a temporary folder, and compare on them."""
    from botwarden.persistence.embedded import EmbeddedServers  # noqa: PLC0415 - not with --on

    with tempfile.TemporaryDirectory() as folder:
        async with EmbeddedServers.start(Path(folder)) as servers:
            await upgrade(servers.database_url, lambda _line: None)
            await compare(servers.database_url, servers.redis_url)


def main() -> None:
    """Run the comparison, or be its second process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", nargs=2, metavar=("DATABASE_URL", "REDIS_URL"))
    parser.add_argument("--on", nargs=2, metavar=("DATABASE_URL", "REDIS_URL"))
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve(*options.serve))
    elif options.on:
        uvloop.run(compare(*options.on))
    else:
        uvloop.run(measured())


if __name__ == "__main__":
    main()
