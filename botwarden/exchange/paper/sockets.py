"""The websocket side of the market streams: connections, requests on them, and signs of life.

Source: Binance spot API, WebSocket streams, general information and limits.
"""

from contextlib import suppress
from typing import Any

import aiohttp
import anyio
import msgspec
from aiohttp import web

from botwarden.exchange.paper import fault_sockets
from botwarden.exchange.paper.fault_events import Ending
from botwarden.exchange.paper.streams import Client, StreamHub
from botwarden.exchange.paper.times import ServerClock

PING_EVERY_S = 20.0
PONG_WITHIN_S = 60.0
LONGEST_LIFE_S = 86_400.0
STREAMS_PER_CONNECTION = 1024
MESSAGES_PER_SECOND = 5


class Request(msgspec.Struct):
    """What a client may ask on a stream connection."""

    method: str
    id: int | str | None = None
    params: list[Any] | None = None


class StreamSocket:
    """One connection."""

    def __init__(self, hub: StreamHub, clock: ServerClock, client: Client) -> None:
        self._hub = hub
        self._clock = clock
        self._client = client
        self._socket = web.WebSocketResponse(autoping=False, max_msg_size=64 * 1024)
        self._heard_at = clock.monotonic()
        self._second, self._messages = 0, 0

    async def serve(self, request: web.Request, streams: list[str]) -> web.StreamResponse:
        """Serve the connection until either side ends it."""
        faults = self._hub.faults
        caught = None if faults.is_empty else faults.catch_connection(request.path)
        if caught is not None and caught.fault.effect != "deaf":
            caught.tell("done")
            return fault_sockets.turned_away(caught.fault, request)
        await self._socket.prepare(request)
        self._hub.subscribe(self._client, streams)
        if caught is not None:
            self._client.end(Ending("deaf"), caught.go_on)
        try:
            async with anyio.create_task_group() as group:
                for part in (self._send, self._receive, self._ping, self._end_when_dropped):
                    group.start_soon(self._until_over, part, group.cancel_scope)
            await self._end_as_told(request)
        finally:
            self._hub.leave(self._client)
            if self._client.dropped.is_set() and request.transport is not None:
                # Nothing more will be read from us: waiting for a closing handshake would hold memory.
                request.transport.abort()
        return self._socket

    async def _end_as_told(self, request: web.Request) -> None:
        """End the connection as a fault says, if one does."""
        client = self._client
        if client.ending is None or client.until is None:
            return
        now_ms = self._clock.now_ms()
        with suppress(ConnectionError):
            await fault_sockets.finish(
                self._socket, request, client.ending, is_combined=client.is_combined, now_ms=now_ms
            )
        if client.ending.how == "deaf":
            self._hub.leave(client)
            await client.until.wait()

    async def _until_over(self, part: Any, scope: anyio.CancelScope) -> None:
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

    async def _receive(self) -> None:
        async for message in self._socket:
            if self._is_too_chatty():
                await self._socket.close(code=1008, message=b"Too many requests")
                return
            if message.type is aiohttp.WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type is aiohttp.WSMsgType.PONG:
                self._heard_at = self._clock.monotonic()
            elif message.type is aiohttp.WSMsgType.TEXT:
                self._client.offer(msgspec.json.encode(self._answer(message.data)).decode())

    async def _ping(self) -> None:
        until = self._clock.monotonic() + LONGEST_LIFE_S
        while self._clock.monotonic() < until:
            await self._socket.ping(str(self._clock.now_ms()).encode())
            await anyio.sleep(PING_EVERY_S)
            if self._clock.monotonic() - self._heard_at > PONG_WITHIN_S:
                return
        await self._socket.close(code=1001, message=b"24 hours have passed")

    async def _end_when_dropped(self) -> None:
        await self._client.dropped.wait()

    def _is_too_chatty(self) -> bool:
        second = int(self._clock.monotonic())
        if second != self._second:
            self._second, self._messages = second, 0
        self._messages += 1
        # The venue counts over some seconds; a burst of twice the limit is never meant.
        return self._messages > 2 * MESSAGES_PER_SECOND

    def _answer(self, raw: str) -> Any:
        try:
            request = msgspec.json.decode(raw, type=Request)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return {"code": 3, "msg": "Invalid JSON: expected a request with a method"}
        match request.method:
            case "SUBSCRIBE" | "UNSUBSCRIBE":
                return self._subscription(request)
            case "LIST_SUBSCRIPTIONS":
                return {"result": sorted(self._client.streams), "id": request.id}
            case "SET_PROPERTY" | "GET_PROPERTY":
                return self._property(request)
        return _refusal(2, f"Invalid request: unknown variant {request.method[:40]}", request.id)

    def _subscription(self, request: Request) -> Any:
        names = request.params or []
        if not names or not all(isinstance(name, str) and 0 < len(name) <= 100 for name in names):
            return _refusal(2, "Invalid request: params must be a list of stream names", request.id)
        if request.method == "UNSUBSCRIBE":
            self._hub.unsubscribe(self._client, names)
        elif len(self._client.streams | set(names)) > STREAMS_PER_CONNECTION:
            return _refusal(2, "Invalid request: too many streams", request.id)
        else:
            self._hub.subscribe(self._client, names)
        return {"result": None, "id": request.id}

    def _property(self, request: Request) -> Any:
        params = request.params or []
        if request.method == "GET_PROPERTY":
            return {"result": self._client.is_combined, "id": request.id}
        if len(params) != 2 or params[0] != "combined" or not isinstance(params[1], bool):
            return _refusal(0, "Unknown property", request.id)
        self._client.is_combined = params[1]
        return {"result": None, "id": request.id}


def _refusal(code: int, message: str, request_id: int | str | None) -> Any:
    return {"code": code, "msg": message, "id": request_id}


def add_routes(app: web.Application, hub: StreamHub, clock: ServerClock) -> None:
    """Put the stream endpoints into the server."""

    async def raw(request: web.Request) -> web.StreamResponse:
        names = [name for name in request.match_info.get("names", "").split("/") if name]
        return await StreamSocket(hub, clock, Client(is_combined=False)).serve(request, names)

    async def combined(request: web.Request) -> web.StreamResponse:
        names = [name for name in request.query.get("streams", "").split("/") if name]
        return await StreamSocket(hub, clock, Client(is_combined=True)).serve(request, names)

    app.router.add_get("/ws", raw)
    app.router.add_get("/ws/{names:.*}", raw)
    app.router.add_get("/stream", combined)
