"""One websocket, whatever is said on it: what waits to be sent, signs of life, and how it ends.

The invariant: nobody's slowness reaches the market. What is to be sent waits in a queue with an end; who
lets it fill up is dropped.

Source: Binance spot API, WebSocket streams and WebSocket API, general information and limits.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import anyio
from aiohttp import web

from botwarden.exchange.paper import fault_sockets
from botwarden.exchange.paper.fault_events import Ending
from botwarden.exchange.paper.fault_plan import CaughtConnection, FaultPlan
from botwarden.exchange.paper.times import ServerClock

PING_EVERY_S = 20.0
PONG_WITHIN_S = 60.0
LONGEST_LIFE_S = 86_400.0

#: Messages that a client may leave lying.
QUEUE = 2000

#: Called with what a client says.
Hear = Callable[[str], None]


class Client:
    """Who is at the other end: what it has subscribed to, and what waits to be sent to it."""

    def __init__(self, *, is_combined: bool = False, in_micros: bool = False) -> None:
        #: Whether messages are wrapped with the name of their stream.
        self.is_combined = is_combined
        #: Whether times are told in microseconds.
        self.in_micros = in_micros
        self.streams: set[str] = set()
        self.queue: asyncio.Queue[str | None] = asyncio.Queue(maxsize=QUEUE)
        #: Set when the client was too slow, or its connection is to end as a fault says.
        self.dropped = asyncio.Event()
        self.ending: Ending | None = None
        #: When a connection that was made deaf may go.
        self.until: anyio.Event | None = None

    def offer(self, message: str) -> None:
        """Queue a message, or drop the client."""
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            self.dropped.set()

    def end(self, ending: Ending, until: anyio.Event) -> None:
        """Let the connection end in this way."""
        if not self.dropped.is_set():
            self.ending, self.until = ending, until
            self.dropped.set()


class Connection:
    """One websocket."""

    def __init__(self, client: Client, clock: ServerClock, faults: FaultPlan) -> None:
        self._client = client
        self._clock = clock
        self._faults = faults
        self._socket = web.WebSocketResponse(autoping=False, max_msg_size=64 * 1024)
        self._heard_at = clock.monotonic()
        self._pong_within_s = PONG_WITHIN_S
        #: Otherwise only when a fault says so.
        self._pings = self._hears_pongs = True

    async def serve(
        self,
        request: web.Request,
        *,
        begin: Callable[[], None],
        hear: Hear,
        leave: Callable[[], None],
        goodbye: Callable[[], str],
        most_per_second: int | None = None,
    ) -> web.StreamResponse:
        """Serve the connection until either side ends it.

        `begin` is called once it is open, `leave` when it is over; `goodbye` returns what is said when the
        venue goes. Who says more than `most_per_second` for long is cut off.
        """
        caught = None if self._faults.is_empty else self._faults.catch_connection(request.path)
        if caught is not None and not caught.fault.lets_in:
            caught.tell("done")
            return fault_sockets.turned_away(caught.fault, request)
        await self._socket.prepare(request)
        begin()
        if caught is not None:
            self._suffer(caught)
        try:
            async with anyio.create_task_group() as group:
                over = group.cancel_scope
                group.start_soon(self._until_over, self._send, over)
                group.start_soon(self._until_over, lambda: self._receive(hear, most_per_second), over)
                group.start_soon(self._until_over, self._ping, over)
                group.start_soon(self._until_over, self._client.dropped.wait, over)
            await self._end_as_told(request, leave, goodbye)
        finally:
            leave()
            if self._client.dropped.is_set() and request.transport is not None:
                # Nothing more will be read from us: waiting for a closing handshake would hold memory.
                request.transport.abort()
        return self._socket

    def _suffer(self, caught: CaughtConnection) -> None:
        """Take up what a fault has in store for a connection that it lets in."""
        fault = caught.fault
        match fault.effect:
            case "deaf":
                self._client.end(Ending("deaf"), caught.go_on)
                return
            case "pingless":
                self._pings = False
            case "unheard":
                self._hears_pongs = False
                self._pong_within_s = fault.cut_after_s or PONG_WITHIN_S
        caught.tell("done")

    async def _end_as_told(
        self, request: web.Request, leave: Callable[[], None], goodbye: Callable[[], str]
    ) -> None:
        """End the connection as a fault says, if one does."""
        client = self._client
        if client.ending is None or client.until is None:
            return
        with suppress(ConnectionError):
            await fault_sockets.finish(self._socket, request, client.ending, goodbye)
        if client.ending.how == "deaf":
            leave()
            await client.until.wait()

    async def _until_over(self, part: Callable[[], Any], scope: anyio.CancelScope) -> None:
        try:
            await part()
        except (ConnectionError, aiohttp.ClientError):
            pass
        finally:
            scope.cancel()

    async def _send(self) -> None:
        while True:
            message = await self._client.queue.get()
            if message is None:
                return
            await self._socket.send_str(message)

    async def _receive(self, hear: Hear, most_per_second: int | None) -> None:
        second, messages = 0, 0
        async for message in self._socket:
            now = int(self._clock.monotonic())
            second, messages = now, (messages + 1 if now == second else 1)
            # The venue counts over some seconds; a burst of twice the limit is never meant.
            if most_per_second is not None and messages > 2 * most_per_second:
                await self._socket.close(code=1008, message=b"Too many requests")
                return
            if message.type is aiohttp.WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type is aiohttp.WSMsgType.PONG and self._hears_pongs:
                self._heard_at = self._clock.monotonic()
            elif message.type is aiohttp.WSMsgType.TEXT:
                hear(message.data)

    async def _ping(self) -> None:
        until = self._clock.monotonic() + LONGEST_LIFE_S
        while self._clock.monotonic() < until:
            if self._pings:
                await self._socket.ping(str(self._clock.now_ms()).encode())
            await anyio.sleep(min(PING_EVERY_S, self._pong_within_s))
            if self._pings and self._clock.monotonic() - self._heard_at > self._pong_within_s:
                return
        await self._socket.close(code=1001, message=b"24 hours have passed")
