"""The live stream on the wire: frames, and an ASGI response with a write deadline.

A response owns nothing but its client. It ends when the client leaves, when its source ends, or when the
hub cuts it because one write took too long; whatever happens, its source is given back.
"""

import socket
import struct
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

import anyio
import msgspec

from botwarden.http.numbers import encode

#: A comment line: keeps proxies from closing the connection, and is no message to the client. Without an
#: empty line behind it, which some clients take for the end of a message.
HEARTBEAT = b": beat\n"
#: The server goes away; the client reconnects by itself, to another replica.
BYE = b"event: bye\ndata: {}\n\n"

HEADERS: list[tuple[bytes, bytes]] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

#: Lingering on, for zero seconds.
_RESET = struct.pack("ii", 1, 0)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class LiveState(msgspec.Struct, frozen=True, kw_only=True):
    """What a watcher sees of a bot's state: the `data` of a message."""

    id: int
    status: str
    in_position: bool
    entry_price: Decimal | None
    daily_pnl: Decimal
    daily_trades_count: int
    #: Set by the database (aware, UTC).
    last_updated_at: datetime
    version: int


class Frame:
    """One state of one bot as it goes to every client; encoded once, when the first client takes it."""

    __slots__ = ("_encoded", "_state", "bot_id", "event_id", "version")

    def __init__(self, state: LiveState) -> None:
        self._state: LiveState | None = state
        self._encoded = b""
        self.bot_id = state.id
        self.version = state.version
        self.event_id = microseconds(state.last_updated_at)

    @property
    def encoded(self) -> bytes:
        """The message with its id, ready to be written."""
        if self._state is not None:
            self._encoded = b"id: %d\ndata: %b\n\n" % (self.event_id, encode(self._state))
            self._state = None
        return self._encoded


class Farewell:
    """The bot is no more. Carries no id, so it may go out before everything else."""

    __slots__ = ("encoded",)

    event_id = 0

    def __init__(self, bot_id: int) -> None:
        self.encoded = b'event: deleted\ndata: {"id": %d}\n\n' % bot_id


def microseconds(moment: datetime) -> int:
    """Return an aware moment as microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(event_id: int) -> datetime:
    """Return the moment that microseconds since 1970 stand for."""
    return _EPOCH + event_id * _MICROSECOND


def parse_event_id(text: str | None) -> int | None:
    """Return the microseconds that a `Last-Event-ID` names; None when it is absent or not one of ours."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 18:
        return None
    return int(text)


class Source(Protocol):
    """Where a response gets its bytes from."""

    #: Called by whoever finds that a write takes too long; set by the response.
    cut: Callable[[], None]

    async def take(self) -> bytes:
        """Wait for the next bytes; empty at the end."""
        ...

    def writing(self) -> None:
        """Note that a write has begun."""
        ...

    def written(self) -> None:
        """Note that the write is through."""
        ...


class EventStream:
    """The ASGI response of one client."""

    __slots__ = ("_leave", "_source")

    def __init__(self, source: Source, *, leave: Callable[[], None]) -> None:
        self._source = source
        self._leave = leave

    async def __call__(self, _scope: Any, receive: Receive, send: Send) -> None:
        """Stream until the client leaves, the source ends, or the hub cuts the line."""
        try:
            async with anyio.create_task_group() as group:
                self._source.cut = lambda: _cut(group.cancel_scope, receive)
                group.start_soon(_watch_departure, receive, group.cancel_scope)
                await self._write_all(send)
                group.cancel_scope.cancel()
        finally:
            # The connection may serve another request now.
            self._source.cut = _nothing
            self._leave()

    async def _write_all(self, send: Send) -> None:
        source = self._source
        source.writing()
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        source.written()
        while body := await source.take():
            source.writing()
            await send({"type": "http.response.body", "body": body, "more_body": True})
            source.written()
        source.writing()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        source.written()


def _nothing() -> None:
    """Cut no line."""


async def _watch_departure(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _cut(scope: anyio.CancelScope, receive: Receive) -> None:
    """Drop a client that does not read, and with it what waits for it here and in the kernel.

    An orderly close would first wait for the client to read the rest.
    """
    scope.cancel()
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is not None:
        line = transport.get_extra_info("socket")
        if line is not None and not transport.is_closing():
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
