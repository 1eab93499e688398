"""What clients may ask on a connection of market streams.

Source: Binance spot API, WebSocket streams, live subscribing and unsubscribing.
"""

from typing import Any

import msgspec
from aiohttp import web

from botwarden.exchange.paper import events
from botwarden.exchange.paper.answers import refusal
from botwarden.exchange.paper.connection import Client, Connection
from botwarden.exchange.paper.errors import ApiError
from botwarden.exchange.paper.streams import StreamHub
from botwarden.exchange.paper.time_units import event_in_micros, wants_micros
from botwarden.exchange.paper.times import ServerClock
from botwarden.exchange.paper.venue import PaperVenue

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

    async def serve(self, request: web.Request, streams: list[str]) -> web.StreamResponse:
        """Serve the connection until either side ends it."""
        return await Connection(self._client, self._clock, self._hub.faults).serve(
            request,
            begin=lambda: self._hub.subscribe(self._client, streams),
            hear=self._hear,
            leave=lambda: self._hub.leave(self._client),
            goodbye=self._goodbye,
            most_per_second=MESSAGES_PER_SECOND,
        )

    def _hear(self, raw: str) -> None:
        self._client.offer(msgspec.json.encode(self._answer(raw)).decode())

    def _goodbye(self) -> str:
        event = events.goodbye(self._clock.now_ms())
        if self._client.in_micros:
            event = event_in_micros(event)
        said = {"stream": "!serverShutdown", "data": event} if self._client.is_combined else event
        return msgspec.json.encode(said).decode()

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


def add_routes(app: web.Application, venue: PaperVenue) -> None:
    """Put the stream endpoints into the server."""
    hub, clock = venue.streams, venue.clock

    async def serve(request: web.Request, names: str, *, is_combined: bool) -> web.StreamResponse:
        try:
            venue.connections.count("streams", request.remote or "", clock.now_ms())
            in_micros = wants_micros(request.query.get("timeUnit"))
        except ApiError as refused:
            return refusal(refused)
        client = Client(is_combined=is_combined, in_micros=in_micros)
        streams = [name for name in names.split("/") if name]
        return await StreamSocket(hub, clock, client).serve(request, streams)

    async def raw(request: web.Request) -> web.StreamResponse:
        return await serve(request, request.match_info.get("names", ""), is_combined=False)

    async def combined(request: web.Request) -> web.StreamResponse:
        return await serve(request, request.query.get("streams", ""), is_combined=True)

    app.router.add_get("/ws", raw)
    app.router.add_get("/ws/{names:.*}", raw)
    app.router.add_get("/stream", combined)
